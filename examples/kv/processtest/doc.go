// Package processtest tests the key-value server as users run it: raftkv processes that are
// killed, stopped, restarted, moved and replaced, with faulty proxies between them, while
// clients read and write. It holds tests only.
package processtest
