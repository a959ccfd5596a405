//! Two `zakura run` processes: one serves real blocks with their real proof-of-work, a fresh one reaches their tip.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its own functions too")]

use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
};

/// A child that is ended by id when the test is done with it, however the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // The child may have ended already; either way it is reaped.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn zakura() -> Command {
    Command::new(env!("CARGO_BIN_EXE_zakura"))
}

fn blocks(prefix: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/blocks");
    (0..=10).map(|height| folder.join(format!("{prefix}-{height:07}.block"))).collect()
}

fn import(dir: &Path, network: &str, files: &[PathBuf]) -> Output {
    let mut command = zakura();
    command.args(["import", "--json", "--network", network, "--data-dir"]).arg(dir).args(files);
    command.output().unwrap()
}

/// Starts a node and reads the address from its first line.
fn serve(dir: &Path, network: &str) -> (Running, String) {
    let mut command = zakura();
    command.args(["run", "--json", "--network", network, "--listen", "127.0.0.1:0", "--data-dir"]).arg(dir);
    let mut child = Running(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let first: serde_json::Value = serde_json::from_str(&line).unwrap();
    let peer = first["listening"].as_str().unwrap().to_owned();
    (child, peer)
}

fn sync_from(dir: &Path, network: &str, peer: &str) -> (ExitStatus, String, String) {
    let mut command = zakura();
    command.args(["run", "--json", "--network", network, "--listen", "127.0.0.1:0", "--until-height", "10"]);
    command.args(["--peer", peer, "--data-dir"]).arg(dir);
    let mut child = Running(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let (mut out, mut err) = (String::new(), String::new());
    child.0.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    child.0.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    (child.0.wait().unwrap(), out, err)
}

fn reaches_height_ten(network: &str, prefix: &str, hash: &str) {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let imported = import(a.path(), network, &blocks(prefix));
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));

    let (_server, peer) = serve(a.path(), network);
    let (status, out, err) = sync_from(b.path(), network, &peer);
    assert!(status.success(), "{network}: {status}\n{out}\n{err}");

    let lines: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = lines.last().unwrap();
    assert_eq!(last["tip_height"], 10);
    assert_eq!(last["tip_hash"], hash);
    let committed: Vec<u64> = lines.iter().filter_map(|line| line["committed"].as_u64()).collect();
    assert!(committed.is_sorted() && committed.last() == Some(&10), "{committed:?}");

    // What the second node stored is byte for byte what the first one imported.
    let out_dir = b.path().join("out");
    let mut export = zakura();
    export.args(["export", "--json", "--network", network, "--from", "1", "--to", "10", "--data-dir"]);
    assert!(export.arg(b.path()).arg("--out").arg(&out_dir).output().unwrap().status.success());
    let mut exported: Vec<_> =
        std::fs::read_dir(&out_dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    exported.sort();
    assert_eq!(exported.len(), 10);
    for (original, copy) in blocks(prefix).iter().skip(1).zip(&exported) {
        assert_eq!(std::fs::read(original).unwrap(), std::fs::read(copy).unwrap(), "{}", copy.display());
    }
}

#[test]
fn mainnet_reaches_height_ten() {
    let tip = "00074c46a4aa8172df8ae2ad1848a2e084e1b6989b7d9e6132adc938bf835b36";
    reaches_height_ten("mainnet", "main", tip);
}

#[test]
fn testnet_reaches_height_ten() {
    let tip = "079f4c752729be63e6341ee9bce42fbbe37236aba22e3deb82405f3c2805c112";
    reaches_height_ten("testnet", "test", tip);
}
