//! Interleavings: what the range queue, the byte budget and the work pool promise holds under every order in which their
//! steps may fall, as far as some thousand orders of each kind show it.
//!
//! One kind draws the next thread by lot, the other gives threads priorities that change a few times, which finds what needs
//! one thread to be slow at the wrong place. A lost wake-up shows as a deadlock. A failure prints its schedule, which
//! `shuttle::replay` repeats. Run with `cargo test -p zakura-transport --features shuttle --lib shuttle`.

#[cfg(test)]
mod tests {
    use crate::{
        Fence,
        routine::{
            ByteBudget, Counts, Demand, EventReceiver, Job, JobCx, JobFault, Lease, RangeQueue, WorkEvent,
            WorkPolicy, WorkPool, WorkReport, events,
        },
    };
    use shuttle::{
        Config, Runner,
        future::block_on,
        scheduler::{PctScheduler, RandomScheduler},
        sync::Barrier,
        thread::{self, JoinHandle},
    };
    use std::{
        future::{Future, poll_fn},
        pin::pin,
        sync::{
            Arc,
            atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
        },
        task::Poll,
    };

    /// Schedules of each kind.
    const SCHEDULES: usize = 6000;
    /// How often priorities change in a schedule of the second kind.
    const CHANGES: usize = 3;
    /// A dev build's frames are large.
    const STACK: usize = 256 * 1024;

    fn explore(test: impl Fn() + Copy + Send + Sync + 'static) {
        let mut config = Config::new();
        config.stack_size = STACK;
        Runner::new(RandomScheduler::new(SCHEDULES), config.clone()).run(test);
        Runner::new(PctScheduler::new(CHANGES, SCHEDULES), config).run(test);
    }

    fn join(threads: impl IntoIterator<Item = JoinHandle<()>>) {
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }

    fn keys<M>(lease: &Lease<M>) -> Vec<u64> {
        lease.items().map(|(key, _)| key).collect()
    }

    fn hedge(owner: Fence) -> Demand {
        Demand { owner, servable: 0..=u64::MAX, max_count: 2, max_cost: u64::MAX, hedge: true }
    }

    /// What may help who waits: the queue, the lease of keys 1 and 2, and the hedge of key 1. It says which leases stay.
    type Help = fn(&RangeQueue<u64>, Lease<u64>, Lease<u64>) -> Vec<Lease<u64>>;

    /// Each with the one lease that it makes possible: the key, and whether it is a hedge.
    const HELPS: [(u64, bool, Help); 11] = [
        (3, false, |queue, held, second| {
            queue.push([(3, 1, 0)]);
            vec![held, second]
        }),
        (2, false, |_, held, second| {
            drop(held);
            vec![second]
        }),
        (1, true, |_, held, second| {
            drop(second);
            vec![held]
        }),
        (1, true, |_, mut held, second| {
            held.release(1);
            vec![held, second]
        }),
        (2, false, |_, mut held, second| {
            drop(held.split(2));
            vec![held, second]
        }),
        (2, true, |_, mut held, second| {
            assert!(held.finish(1));
            vec![held, second]
        }),
        (2, true, |_, held, mut second| {
            assert!(second.finish(1));
            vec![held, second]
        }),
        (2, true, |queue, held, second| {
            queue.cover(1..=1);
            vec![held, second]
        }),
        (2, true, |queue, held, second| {
            queue.advance_floor(1);
            vec![held, second]
        }),
        (1, false, |queue, held, second| {
            queue.reset_above(0);
            queue.push([(1, 1, 0)]);
            vec![held, second]
        }),
        (2, false, |queue, mut held, second| {
            assert!(held.finish(2));
            queue.reopen(2, 1, 0);
            vec![held, second]
        }),
    ];

    #[test]
    fn who_goes_to_sleep_is_woken_by_everything_that_may_help() {
        for (key, is_hedge, help) in HELPS {
            explore(move || {
                let queue = RangeQueue::new(0);
                queue.push([(1, 1, 0), (2, 1, 0)]);
                let held = queue.take(&hedge(Fence::mint())).unwrap();
                let second = queue.take(&hedge(Fence::mint())).unwrap();
                let waiting = queue.clone();
                let waiter = thread::spawn(move || {
                    let lease = block_on(waiting.wait(&hedge(Fence::mint())));
                    assert_eq!((keys(&lease), lease.is_hedge()), (vec![key], is_hedge));
                });
                let kept = help(&queue, held, second);
                waiter.join().unwrap();
                queue.check_invariants().unwrap();
                drop(kept);
                queue.check_invariants().unwrap();
                assert_eq!(queue.counts().leased, 0);
            });
        }
    }

    #[test]
    fn one_push_wakes_all_who_wait() {
        explore(|| {
            let queue = RangeQueue::new(0);
            let waiter = |queue: RangeQueue<u64>| {
                move || {
                    let mut lease =
                        block_on(queue.wait(&Demand { max_count: 1, hedge: false, ..hedge(Fence::mint()) }));
                    assert!(lease.finish(lease.first().unwrap()));
                }
            };
            let waiters = [(); 3].map(|()| thread::spawn(waiter(queue.clone())));
            queue.push([(1, 1, 0), (2, 1, 0), (3, 1, 0)]);
            join(waiters);
            queue.check_invariants().unwrap();
        });
    }

    /// Peers that carry keys of several epochs, until each was handed a stop.
    struct Haul {
        queue: RangeQueue<u64>,
        /// How often a key was finished, by epoch.
        finished: [[AtomicUsize; KEYS as usize + 1]; 2],
        /// Whether the last epoch was pushed.
        is_last: AtomicU64,
        /// Whether peers double one another's leases.
        hedge: bool,
    }

    const KEYS: u64 = 4;
    const PEERS: u64 = 3;

    impl Haul {
        fn begin(is_last: bool, hedge: bool) -> Arc<Self> {
            let queue = RangeQueue::new(0);
            queue.push((1..=KEYS).map(|key| (key, 1, 0)));
            let is_last = AtomicU64::new(u64::from(is_last));
            Arc::new(Self { queue, finished: Default::default(), is_last, hedge })
        }

        fn peers(self: &Arc<Self>) -> Vec<JoinHandle<()>> {
            let peer = |peer| {
                let haul = Arc::clone(self);
                thread::spawn(move || haul.carry(peer))
            };
            (0..PEERS).map(peer).collect()
        }

        /// One peer's life: of what it is handed it finishes some, and lets go of the rest in every way there is.
        fn carry(&self, peer: u64) {
            let ask = Demand { hedge: self.hedge, ..hedge(Fence::mint()) };
            for turn in peer.. {
                let mut lease = block_on(self.queue.wait(&ask));
                self.queue.check_invariants().unwrap();
                let first = lease.first().unwrap();
                if first > KEYS {
                    if lease.finish(first) {
                        return;
                    }
                    continue;
                }
                if turn.is_multiple_of(3) {
                    lease.release(first);
                } else if turn % 3 == 1 {
                    drop(lease.split(first));
                }
                for key in keys(&lease) {
                    let epoch = *lease.get(key).unwrap();
                    if lease.finish(key) {
                        self.finished[epoch as usize][key as usize].fetch_add(1, SeqCst);
                    } else {
                        assert!(self.hedge || epoch == 0, "nobody else can have had key {key}");
                    }
                }
                drop(lease);
                self.stop_if_done();
            }
        }

        /// Pushes a stop for each peer once everything is done. They are pushed more than once, which changes nothing.
        fn stop_if_done(&self) {
            let Counts { pending, leased, done, .. } = self.queue.counts();
            let known = pending + leased + done;
            assert!(known == KEYS || done >= KEYS || self.is_last.load(SeqCst) == 0, "{known} keys");
            if self.is_last.load(SeqCst) == 1 && done >= KEYS {
                // With holes, so that no lease has two.
                self.queue.push((1..=PEERS).map(|stop| (KEYS + 2 * stop, 1, 0)));
            }
        }

        fn finished(&self, epoch: usize) -> Vec<usize> {
            self.finished[epoch].iter().skip(1).map(|count| count.load(SeqCst)).collect()
        }

        fn check_end(&self) {
            self.queue.check_invariants().unwrap();
            let done = KEYS + PEERS;
            assert_eq!(self.queue.counts(), Counts { floor: 0, pending: 0, leased: 0, done });
        }
    }

    #[test]
    fn every_key_is_finished_exactly_once() {
        explore(|| {
            let haul = Haul::begin(true, true);
            join(haul.peers());
            haul.check_end();
            assert_eq!(haul.finished(0), [1; KEYS as usize]);
        });
    }

    #[test]
    fn what_a_reset_forgot_is_finished_again_and_by_no_old_lease() {
        for hedge in [false, true] {
            explore(move || reset(hedge));
        }
    }

    fn reset(hedge: bool) {
        let haul = Haul::begin(false, hedge);
        let peers = haul.peers();
        haul.queue.reset_above(2);
        haul.queue.push((1..=KEYS).map(|key| (key, 1, 1)));
        haul.is_last.store(1, SeqCst);
        haul.stop_if_done();
        join(peers);
        haul.check_end();
        assert_eq!((haul.finished(1), &haul.finished(0)[..2]), (vec![0, 0, 1, 1], &[1, 1][..]));
        assert!(haul.finished(0).iter().all(|count| *count <= 1));
    }

    #[test]
    fn a_key_is_covered_or_finished_and_nobody_brings_it_again() {
        explore(|| {
            let haul = Haul::begin(true, true);
            let peers = haul.peers();
            haul.queue.cover(2..=3);
            haul.stop_if_done();
            join(peers);
            haul.check_end();
            let finished = haul.finished(0);
            assert!(finished[1] <= 1 && finished[2] <= 1 && (finished[0], finished[3]) == (1, 1));
        });
    }

    const LIMIT: u64 = 10;

    #[test]
    fn the_limit_holds_and_every_byte_comes_back() {
        explore(|| {
            let (budget, held) = (ByteBudget::new(LIMIT), Arc::new(AtomicU64::new(0)));
            let carrier = |pieces: [u64; 2]| {
                let (budget, held) = (budget.clone(), Arc::clone(&held));
                thread::spawn(move || {
                    let add = |bytes| assert!(held.fetch_add(bytes, SeqCst) + bytes <= LIMIT);
                    for bytes in pieces {
                        let mut piece = block_on(budget.reserve(bytes));
                        add(bytes);
                        assert!(budget.used() <= LIMIT);
                        let half = piece.split(bytes / 2);
                        held.fetch_sub(half.bytes(), SeqCst);
                        drop(half);
                        if let Some(more) = budget.try_reserve(1) {
                            add(1);
                            piece.merge(more).unwrap();
                        }
                        held.fetch_sub(piece.bytes(), SeqCst);
                    }
                })
            };
            join([[6, 3], [5, 5], [LIMIT, 1]].map(carrier));
            assert_eq!((budget.used(), held.load(SeqCst)), (0, 0));
        });
    }

    #[test]
    fn a_large_piece_in_line_is_neither_overtaken_nor_forgotten() {
        const WAITS: u64 = 1;
        const SERVED: u64 = 2;
        explore(|| {
            let (budget, line) = (ByteBudget::new(LIMIT), Arc::new(AtomicU64::new(0)));
            let held = budget.try_reserve(6).unwrap();
            let large = {
                let (budget, line) = (budget.clone(), Arc::clone(&line));
                thread::spawn(move || {
                    let mut reserve = pin!(budget.reserve(LIMIT));
                    drop(block_on(poll_fn(|cx| {
                        let polled = reserve.as_mut().poll(cx);
                        line.store(if polled.is_pending() { WAITS } else { SERVED }, SeqCst);
                        polled
                    })));
                })
            };
            let small = || {
                let (budget, line) = (budget.clone(), Arc::clone(&line));
                thread::spawn(move || {
                    for _ in 0..3 {
                        let waited = line.load(SeqCst) == WAITS;
                        let piece = budget.try_reserve(1);
                        let overtakes = waited && piece.is_some() && line.load(SeqCst) == WAITS;
                        assert!(!overtakes, "the large piece waits");
                    }
                    let waited = line.load(SeqCst) == WAITS;
                    let piece = block_on(budget.reserve(2));
                    assert!(!waited || line.load(SeqCst) == SERVED, "the large piece was first in line");
                    drop(piece);
                })
            };
            let smalls = [small(), small()];
            drop(held);
            join(smalls);
            large.join().unwrap();
            assert_eq!(budget.used(), 0);
        });
    }

    #[test]
    fn who_leaves_the_line_takes_nobody_along() {
        explore(|| {
            let budget = ByteBudget::new(LIMIT);
            let held = budget.try_reserve(LIMIT).unwrap();
            let leaver = {
                let budget = budget.clone();
                thread::spawn(move || {
                    let mut reserve = pin!(budget.reserve(LIMIT));
                    drop(block_on(poll_fn(|cx| Poll::Ready(reserve.as_mut().poll(cx)))));
                })
            };
            let patient = || {
                let budget = budget.clone();
                thread::spawn(move || drop(block_on(budget.reserve(LIMIT))))
            };
            let patient = [patient(), patient()];
            drop(held);
            leaver.join().unwrap();
            join(patient);
            assert_eq!(budget.used(), 0);
        });
    }

    type Body = Box<dyn FnOnce() + Send>;

    struct Do(Body);

    impl Job for Do {
        type Out = ();

        fn run(self, _: &JobCx) -> Result<(), JobFault> {
            (self.0)();
            Ok(())
        }
    }

    /// A pool with threads of the scheduler's.
    struct Crew {
        pool: WorkPool,
        threads: Vec<JoinHandle<()>>,
    }

    impl Crew {
        fn new(threads: usize) -> Self {
            let pool = WorkPool::without_workers(4);
            let thread = |name| {
                let living = pool.living(name);
                thread::spawn(move || living.shared.work())
            };
            let threads = super::super::pool::THREADS.into_iter().take(threads).map(thread).collect();
            Self { pool, threads }
        }

        /// Opens a session whose results find little room.
        fn open(&self, jobs: Vec<Body>, max_parallel: usize) -> Option<Session> {
            let (out, heard) = events(2);
            let (jobs, policy) =
                (jobs.into_iter().map(Do).collect(), WorkPolicy { max_parallel, ..WorkPolicy::default() });
            self.pool.open(jobs, policy, out).ok().map(|_| Session(heard))
        }

        /// Lets the threads go, and sees that they do.
        fn end(self) {
            drop(self.pool);
            join(self.threads);
        }
    }

    struct Session(EventReceiver<WorkEvent<()>>);

    impl Session {
        /// Reads it to its end; how many results came, and the report.
        fn read(mut self) -> (usize, WorkReport) {
            for items in 0.. {
                if let WorkEvent::Closed { report, .. } = block_on(self.0.recv()).unwrap() {
                    assert_eq!(block_on(self.0.recv()), None, "it is the last event");
                    return (items, report);
                }
            }
            unreachable!("it is read until it closes");
        }
    }

    /// Gives others a turn.
    fn turn() {
        shuttle::sync::atomic::AtomicBool::new(false).load(SeqCst);
    }

    #[test]
    fn every_job_runs_once_or_is_skipped_once() {
        const JOBS: usize = 3;
        explore(|| {
            let crew = Crew::new(2);
            let owner = || {
                let crew = Crew { pool: crew.pool.clone(), threads: Vec::new() };
                thread::spawn(move || {
                    let ran: Arc<[AtomicUsize; JOBS]> = Arc::default();
                    let job = |at: usize| -> Body {
                        let ran = Arc::clone(&ran);
                        Box::new(move || {
                            ran[at].fetch_add(1, SeqCst);
                        })
                    };
                    let Some(session) = crew.open((0..JOBS).map(job).collect(), 2) else { return };
                    let (items, report) = session.read();
                    let ran: Vec<usize> = ran.iter().map(|count| count.load(SeqCst)).collect();
                    assert!(ran.iter().all(|count| *count <= 1), "{ran:?}");
                    let ran = ran.iter().sum();
                    assert_eq!((items, report.started, report.succeeded), (ran, ran, ran));
                    let skipped = report.skipped_closed + report.skipped_cancelled;
                    assert_eq!((report.examined, report.started + skipped), (JOBS, JOBS));
                })
            };
            let owners = [owner(), owner()];
            crew.pool.shared.shut();
            join(owners);
            assert_eq!(crew.pool.taken(), 0);
            crew.end();
        });
    }

    #[test]
    fn a_session_runs_as_many_at_once_as_it_may_and_no_more() {
        for most in [1, 2] {
            explore(move || {
                let (crew, running) = (Crew::new(3), Arc::new(AtomicUsize::new(0)));
                let job = || -> Body {
                    let running = Arc::clone(&running);
                    Box::new(move || {
                        assert!(running.fetch_add(1, SeqCst) < most);
                        turn();
                        running.fetch_sub(1, SeqCst);
                    })
                };
                let session = crew.open((0..4).map(|_| job()).collect(), most).unwrap();
                let (items, report) = session.read();
                assert_eq!((items, report.succeeded, report.failed), (4, 4, 0));
                crew.end();
            });
        }
    }

    /// Two jobs that wait for one another never end unless a thread without work is told of the second.
    #[test]
    fn jobs_that_may_run_together_do() {
        explore(|| {
            let (crew, meeting) = (Crew::new(2), Arc::new(Barrier::new(2)));
            let meet = || -> Body {
                let meeting = Arc::clone(&meeting);
                Box::new(move || {
                    meeting.wait();
                })
            };
            let session = crew.open(vec![meet(), meet()], 2).unwrap();
            assert_eq!(session.read().0, 2);
            // One of each of two sessions, of which the first may run one at a time.
            let single = crew.open(vec![Box::new(turn), meet()], 1).unwrap();
            let other = crew.open(vec![meet()], 1).unwrap();
            assert_eq!((single.read().0, other.read().0), (2, 1));
            crew.end();
        });
    }
}
