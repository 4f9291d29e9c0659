// Command counter is a replicated counter on disk: a whole service around package
// replica. docs/embedding.md explains it piece by piece.
package main

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/replica"
	"github.com/quorate-raft/raft/storage/pebblestore"
	"github.com/quorate-raft/raft/transport"
)

// counter is the state machine. It lives in memory; the replica keeps snapshots of
// it and the log after them on disk.
type counter struct{ n atomic.Int64 }

func (c *counter) Apply(commands []replica.Command) error {
	for i := range commands {
		delta, _ := binary.Varint(commands[i].Data)
		commands[i].Result = c.n.Add(delta) // what Propose returns
	}
	return nil
}

func (c *counter) View() (replica.View, error) { return view(c.n.Load()), nil }

func (c *counter) Restore(_ uint64, r io.Reader) error {
	var n int64
	err := binary.Read(r, binary.LittleEndian, &n)
	c.n.Store(n)
	return err
}

// view is the counter at one moment.
type view int64

func (v view) WriteTo(w io.Writer) (int64, error) {
	return 8, binary.Write(w, binary.LittleEndian, int64(v))
}
func (v view) Close() error { return nil }

func main() {
	id := flag.Uint64("id", 1, "this member's `ID`")
	dir := flag.String("dir", "counter-data", "`directory` for the log and snapshots")
	listen := flag.String("http", "127.0.0.1:8001", "`address` for clients")
	members := flag.String("members", "1=127.0.0.1:7001", "the first members, as `ID=address,...`, the same on all")
	flag.Parse()
	if err := run(*id, *dir, *listen, *members); err != nil {
		log.Fatal(err)
	}
}

func run(id uint64, dir, listen, members string) error {
	var peers []raft.Peer
	own := ""
	for _, member := range strings.Split(members, ",") {
		number, address, _ := strings.Cut(member, "=")
		peer, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			return fmt.Errorf("-members: %w", err)
		}
		if peers = append(peers, raft.Peer{ID: peer, Context: []byte(address)}); peer == id {
			own = address
		}
	}
	engine, err := pebblestore.Open(filepath.Join(dir, "log"), nil)
	if err != nil {
		return err
	}
	defer engine.Close()
	storage, err := engine.Group(1)
	if err != nil {
		return err
	}
	network, err := transport.New(transport.Config{ClusterID: 1, NodeID: id, Listen: own})
	if err != nil {
		return err
	}
	defer network.Close()
	group, err := network.Group(1)
	if err != nil {
		return err
	}
	state := &counter{}
	r, err := replica.Start(replica.Config{
		ID: id, Bootstrap: peers, HandOverOnStop: true,
		Storage: storage, Transport: group, StateMachine: state, SnapshotDir: filepath.Join(dir, "snapshots"),
	})
	if err != nil {
		return err
	}
	http.HandleFunc("POST /add", func(w http.ResponseWriter, req *http.Request) {
		delta, err := strconv.ParseInt(req.FormValue("n"), 10, 64)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		result, err := r.Propose(req.Context(), binary.AppendVarint(nil, delta))
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, result)
	})
	http.HandleFunc("GET /", func(w http.ResponseWriter, req *http.Request) {
		if err := r.Read(req.Context()); err != nil { // from here on the state is fresh enough
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, state.n.Load())
	})
	failed := make(chan error, 1)
	go func() { failed <- http.ListenAndServe(listen, nil) }()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	select {
	case <-ctx.Done():
	case err = <-failed:
	case <-r.Done(): // a fault of the disk, say; Stop returns it
	}
	if stopErr := r.Stop(context.Background()); err == nil {
		err = stopErr
	}
	return err
}
