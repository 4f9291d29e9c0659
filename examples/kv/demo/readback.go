package demo

import (
	"context"

	"github.com/quorate-raft/raft/examples/kv/api"
	"github.com/quorate-raft/raft/examples/kv/client"
	"github.com/quorate-raft/raft/rafttest/lincheck"
)

// readBackClient is added to a server's ID to name, in the history, who read all back
// from it.
const readBackClient = 1000

// readBack reads all keys from one server, linearizably, and returns how many there are
// and what is lost of those loaded. What it finds in the registers of the history becomes
// a part of that.
func readBack(ctx context.Context, url string, id uint64, l *ledger, h *history) (keys int, lost []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	c, err := client.New(client.Config{Endpoints: []string{url}, Timeout: tryTimeout})
	if err != nil {
		return 0, nil, err
	}
	c.Close() // it is to learn of no other servers, and to ask this one alone
	loaded := map[string]string{}
	err = pages(ctx, c, loadPrefix, func(p *api.Page) {
		for _, e := range p.Entries {
			loaded[e.Key.String()] = e.Value.String()
		}
	})
	if err != nil {
		return 0, nil, err
	}
	// Nobody writes any more, so that all pages together are one read: its call is that of
	// the first.
	registers := map[string]api.Entry{}
	call := h.meter.now()
	err = pages(ctx, c, historyPrefix, func(p *api.Page) {
		for _, e := range p.Entries {
			registers[e.Key.String()] = e
		}
	})
	if err != nil {
		return 0, nil, err
	}
	ended := h.meter.now()
	for n := uint64(1); n <= h.lastKey(); n++ {
		op := lincheck.Op{Client: readBackClient + id, Key: n, Kind: lincheck.Read, Call: int64(call), Return: int64(ended)}
		if e, found := registers[historyKey(n)]; found {
			op.Pos = e.Revision
			if op.Result, err = decode(e.Value); err != nil {
				op.Result = foreign
			}
		}
		h.add(op)
	}
	return len(loaded) + len(registers), l.lost(loaded), nil
}

func pages(ctx context.Context, c *client.Client, prefix string, take func(*api.Page)) error {
	for page, err := range c.RangeAll(ctx, client.Prefix([]byte(prefix)), api.Linearizable) {
		if err != nil {
			return err
		}
		take(&page)
	}
	return nil
}
