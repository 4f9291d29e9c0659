package diskguard_test

import (
	"errors"
	"fmt"
	"log"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"go.uber.org/zap"

	"github.com/quorate-raft/raft/storage/pebblestore/diskguard"
)

// A store whose log cannot be synced any more: Pebble goes on, and its owner knows better.
func Example() {
	var full errorfs.Toggle
	full.Injector = errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData {
			return syscall.ENOSPC
		}
		return nil
	})
	disk := errorfs.Wrap(vfs.NewMem(), &full)

	guard := diskguard.New(disk, nil)
	db, err := pebble.Open("db", &pebble.Options{
		FS:     guard,
		Logger: guard.Logger(zap.NewNop()),
		EventListener: &pebble.EventListener{
			BackgroundError: guard.BackgroundError,
			DataCorruption:  func(pebble.DataCorruptionInfo) {}, // whoever reads gets the error
		},
	})
	if err == nil && guard.Failure() != nil {
		err = guard.Failure()
	}
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	full.On()
	err = db.Set([]byte("key"), []byte("value"), pebble.Sync)
	fmt.Println("Pebble:", err)
	fmt.Println("in truth:", errors.Is(guard.Failure(), syscall.ENOSPC))
	// Output:
	// Pebble: <nil>
	// in truth: true
}
