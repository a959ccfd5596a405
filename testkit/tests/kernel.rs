//! The link model against the kernel: the same probe through two network namespaces, with the kernel's own rate limit and
//! queue and a small relay for the delay, and over simulated sockets. Without loss they agree within 10 %.
//!
//! It needs root and `ip` and `tc` (Debian: iproute2). Where a namespace cannot be made it says so and shows nothing.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its own functions too")]
#![expect(clippy::print_stdout, reason = "what was measured is worth a look")]

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};
use zakura_testkit::accuracy::{Line, Measured, modelled};

const PROGRAM: &str = env!("CARGO_BIN_EXE_zakura-sim");

/// The lines that are compared: slow enough that no processor here is ever the narrower one.
const LINES: [Line; 2] = [
    Line { rate: 20, queue: 100, delay: 25, megabytes: 10 },
    Line { rate: 50, queue: 200, delay: 10, megabytes: 20 },
];

/// A busy machine only ever makes a line look worse: the best of so many measurements counts.
const TRIES: usize = 3;

/// Three namespaces in a row: one that serves, a relay, one that measures.
struct Street {
    names: [String; 3],
    ended: Vec<Child>,
}

fn succeeds(command: &str) -> bool {
    let mut words = command.split_whitespace();
    let program = words.next().unwrap();
    let status = Command::new(program).args(words).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

impl Street {
    /// Nothing where the machine does not let us.
    fn build(line: Line) -> Option<Self> {
        let id = std::process::id();
        let names = ["server", "relay", "client"].map(|role| format!("zakura-{role}-{id}"));
        let street = Self { names, ended: Vec::new() };
        let [server, relay, client] = &street.names;
        let shape = format!("root tbf rate {}mbit burst 16kb latency {}ms", line.rate, line.queue);
        let commands = [
            format!("ip netns add {server}"),
            format!("ip netns add {relay}"),
            format!("ip netns add {client}"),
            format!("ip link add edge netns {server} type veth peer name left netns {relay}"),
            format!("ip link add edge netns {client} type veth peer name right netns {relay}"),
            format!("ip -n {server} addr add 10.99.1.1/24 dev edge"),
            format!("ip -n {relay} addr add 10.99.1.2/24 dev left"),
            format!("ip -n {relay} addr add 10.99.2.2/24 dev right"),
            format!("ip -n {client} addr add 10.99.2.1/24 dev edge"),
            format!("ip -n {server} link set edge up"),
            format!("ip -n {relay} link set left up"),
            format!("ip -n {relay} link set right up"),
            format!("ip -n {client} link set edge up"),
            format!("tc -n {server} qdisc add dev edge {shape}"),
            format!("tc -n {relay} qdisc add dev left {shape}"),
            format!("tc -n {relay} qdisc add dev right {shape}"),
            format!("tc -n {client} qdisc add dev edge {shape}"),
        ];
        let refused = commands.iter().find(|command| !succeeds(command));
        if let Some(command) = refused {
            println!("this machine does not do `{command}`: nothing is compared with the kernel");
            return None;
        }
        Some(street)
    }

    fn inside(name: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", name, PROGRAM, "probe"]).args(arguments).stdout(Stdio::piped());
        command
    }

    fn measure(&mut self, line: Line) -> Measured {
        let [server, relay, client] = self.names.clone();
        let mut serving = Self::inside(&server, &["serve", "--listen", "10.99.1.1:9000"]).spawn().unwrap();
        let mut name = String::new();
        BufReader::new(serving.stdout.take().unwrap()).read_line(&mut name).unwrap();
        self.ended.push(serving);
        let id = name.split('@').next().unwrap();
        let delay = line.delay.to_string();
        let path = ["relay", "--near=10.99.2.2:9000", "--own-far=10.99.1.2:9001", "--far=10.99.1.1:9000"];
        let path = Self::inside(&relay, &path).arg("--delay").arg(delay).spawn().unwrap();
        self.ended.push(path);
        let (peer, megabytes) = (format!("{id}@10.99.2.2:9000"), line.megabytes.to_string());
        let own = ["measure", "--listen", "10.99.2.1:9000", "--megabytes", &megabytes, &peer];
        let output = Self::inside(&client, &own).stderr(Stdio::piped()).output().unwrap();
        self.end_processes();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn end_processes(&mut self) {
        for mut child in self.ended.drain(..) {
            // It may have ended by itself.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

impl Drop for Street {
    fn drop(&mut self) {
        self.end_processes();
        for name in &self.names {
            succeeds(&format!("ip netns del {name}"));
        }
    }
}

fn is_near(measured: f64, modelled: f64) -> bool {
    (measured / modelled - 1.0).abs() <= 0.1
}

/// Measures until the kernel does what the model says, [`TRIES`] times at most.
fn compare(line: Line) {
    let Some(mut street) = Street::build(line) else { return };
    let model = modelled(line, 1).unwrap();
    let mut seen = Vec::new();
    for _ in 0..TRIES {
        let kernel = street.measure(line);
        println!("{line:?}: kernel {kernel:?}, model {model:?}");
        if is_near(kernel.goodput_mbit, model.goodput_mbit)
            && is_near(kernel.round_trip_ms, model.round_trip_ms)
        {
            return;
        }
        seen.push(kernel);
    }
    panic!("over {line:?} the model says {model:?}, and the kernel does {seen:?}");
}

#[test]
fn a_modelled_line_does_what_the_kernels_line_does() {
    LINES.into_iter().for_each(compare);
}
