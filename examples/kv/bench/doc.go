// Package bench measures a cluster of the key-value server as its clients see it, and
// beside it the disk, without which no figure of a replicated log can be judged.
//
// N clients each make one request at a time, one after the other: writes through
// sessions, then reads. What they wait for is measured from the call to the answer,
// retries and redirects included. Figures are of what was answered in the time measured;
// a warm-up before it does not count.
//
// Each write has to be on the disks of a majority before it is acknowledged, so a single
// client cannot have more writes per second than a disk has syncs. With more clients,
// writes share syncs.
package bench
