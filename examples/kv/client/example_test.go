package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/quorate-raft/raft/examples/kv/api"
	"github.com/quorate-raft/raft/examples/kv/client"
)

// What to make of the error of a write.
func Example() {
	c, err := client.New(client.Config{Endpoints: []string{"10.0.0.1:8000", "10.0.0.2:8000", "10.0.0.3:8000"}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()

	revision, err := c.CompareAndSet(ctx, []byte("lock"), api.Expect{Absent: true}, []byte("mine"))
	switch {
	case err == nil:
		fmt.Println("locked, at revision", revision)
	case errors.Is(err, client.ErrMismatch):
		fmt.Println("somebody else has the lock")
	case errors.Is(err, client.ErrNotApplied):
		fmt.Println("not locked, and certainly not later:", err)
	case errors.Is(err, client.ErrAmbiguous):
		fmt.Println("perhaps locked, perhaps later: look, or wait:", err)
	}
}

// Keep a copy of some keys that is never behind for long.
func ExampleClient_Watch() {
	c, err := client.New(client.Config{Endpoints: []string{"10.0.0.1:8000"}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx, keys := context.Background(), client.Prefix([]byte("colours/"))

	for {
		colours, since := map[string]string{}, uint64(0)
		for page, err := range c.RangeAll(ctx, keys, api.Linearizable) {
			if err != nil {
				log.Fatal(err)
			}
			if since == 0 {
				since = page.Revision // the watch tells of what changed while the rest was read
			}
			for _, e := range page.Entries {
				colours[e.Key.String()] = e.Value.String()
			}
		}
		err := c.Watch(ctx, keys, since, func(changes api.Changes) error {
			for _, e := range changes.Events {
				if e.Deleted {
					delete(colours, e.Key.String())
				} else {
					colours[e.Key.String()] = e.Value.String()
				}
			}
			return nil
		})
		if !errors.Is(err, client.ErrCompacted) {
			log.Fatal(err)
		}
	}
}
