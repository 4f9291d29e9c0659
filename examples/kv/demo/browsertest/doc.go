// Package browsertest tests the page of package demo in a real browser, while the real
// demo runs. It is a module of its own, so that nobody else needs what drives the browser.
//
// The tests are skipped unless RAFT_BROWSER is set: to the path of a Chromium, or to 1 to
// find one in PATH. With RAFT_SCREENSHOTS set to a directory they leave pictures there.
//
//	RAFT_BROWSER=1 RAFT_SCREENSHOTS=/tmp/pictures go test ./...
package browsertest
