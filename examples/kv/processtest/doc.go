// Package processtest tests the key-value server as users run it: raftkv processes that are
// killed, stopped, restarted, moved and replaced, with faulty proxies between them, while
// clients read and write. It holds tests only.
//
//	go test ./processtest                                              20 seconds of faults, and the rest
//	PROCESS_TIME=2m go test -run Chaos -v ./processtest                as every night, without and with -race
//	PROCESS_SEED=7 go test -run Chaos -v ./processtest                 the plan of an earlier run again
//
// The first test that needs it builds raftkv, with the race detector if the test has it. No
// process outlives the test, on Linux also if that crashes. When a test fails the ends of the
// servers' logs are printed.
//
// # Chaos
//
// TestChaos starts three servers. Others reach each of them through a proxy of its own, which
// can delay, throttle, stall or reset what passes, in both directions or in one, and refuse
// connections. Two lanes of a plan, which is made from a seed and printed, run side by side.
// One is about processes: kill -9 of one server, the leader, a minority, a majority or all at
// once; SIGSTOP for longer than two election timeouts; SIGTERM; servers that join, are
// removed, replaced by a joint change, or come back at other addresses; and hand-overs. There
// are three to five voters at all times. The other lane is about the network. The seed
// repeats the plan, not what comes of it: processes and the network have a timing of their
// own.
//
// Meanwhile clients put, delete, compare and set, and read keys, each of which is used for
// some forty operations. These must hold:
//
//   - What the clients saw is linearizable, key by key, by package lincheck, which asks
//     Porcupine. A write without an outcome may have been applied or not, one that is said to
//     be not applied must not have been. Reads count, also those under a lease: a lease is
//     measured by the monotonic clock, which goes on while a process is stopped.
//   - A value that is seen, by stale reads too, was written to that key, and everybody is told
//     of one revision for it: no write is applied twice however often it is tried.
//   - A watch of all keys, through whatever happens, comes to what the servers have.
//   - No server ends unless it is asked to, or removed; then it says so.
//   - When the faults end, writes go on, all servers come to the same configuration and the
//     same entries, and a linearizable read of every key that was ever used is answered, each
//     within a bound. These reads are part of the history: nothing acknowledged is lost.
//   - The same history with one acknowledged write forgotten is refused, so that the check is
//     known to check.
//
// What was done and seen is printed with -v, by its name and how often; a run of two minutes
// or more fails if anything was never done.
//
// # The rest
//
// Shorter tests are about one thing each: recovery from one survivor, a full disk, removed
// servers, what is wrong with a start, hand-over at SIGTERM, learners, and mutual TLS. That
// of a full disk mounts one of its own; where that is not allowed it bounds the size of files
// instead.
package processtest
