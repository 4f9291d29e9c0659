package store_test

import (
	"fmt"
	"log"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate-raft/raft/examples/kv/store"
	"github.com/quorate-raft/raft/replica"
)

// A request that is tried again is applied once. Here a loop stands in for the log,
// which package replica brings.
func Example() {
	s, err := store.Open("data", &store.Options{FS: vfs.NewMem()})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	index := uint64(0)
	propose := func(command []byte, err error) store.Result {
		if err != nil {
			log.Fatal(err) // a key or value beyond the limits
		}
		index++
		commands := []replica.Command{{Index: index, Data: command}}
		if err := s.Apply(commands); err != nil {
			log.Fatal(err)
		}
		return commands[0].Result.(store.Result)
	}

	client := propose(store.EncodeRegister(), nil).Revision
	first := store.RequestID{Client: client, Number: 1}
	lock := func() store.Result {
		return propose(store.EncodeCompareAndSet(first, []byte("lock"), store.IfAbsent(), []byte("mine")))
	}
	fmt.Println(lock())
	fmt.Println(lock()) // the answer was lost on the way: the client tries again

	other := propose(store.EncodeCompareAndSet(store.RequestID{}, []byte("lock"), store.IfAbsent(), []byte("theirs")))
	fmt.Println(other.Err())

	value, revision, found, err := s.Get([]byte("lock"))
	fmt.Println(string(value), revision, found, err)
	// Output:
	// {done 2}
	// {done 2}
	// store: the condition does not hold
	// mine 2 true <nil>
}
