package migration

import (
	"io"
	"log"
)

// host is a node with all that it needs but a clock and a network.
type host interface {
	tick()
	// step takes an encoded message.
	step(encoded []byte) error
	propose(command []byte) error
	// work persists, sends and applies what is due.
	work() error
	leads() bool
	applied() []string
}

var (
	_ host = (*etcdHost)(nil)
	_ host = (*ourHost)(nil)
)

var discard = log.New(io.Discard, "", 0)
