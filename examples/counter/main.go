// Command counter is a replicated counter on disk: a whole service around package
// replica. docs/embedding.md explains it piece by piece.
package main

import (
	"context"
	"encoding/binary"
	"errors"
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
	peers, own, err := parseMembers(members, id)
	if err != nil {
		return err
	}
	engine, err := pebblestore.Open(filepath.Join(dir, "log"), &pebblestore.Options{ClusterID: clusterID, NodeID: id})
	if err != nil {
		return err
	}
	defer engine.Close()
	network, err := transport.New(transport.Config{ClusterID: clusterID, NodeID: id, Listen: own})
	if err != nil {
		return err
	}
	defer network.Close()
	state := &counter{}
	r, err := start(id, peers, engine, network, state, filepath.Join(dir, "snapshots"))
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() { failed <- http.ListenAndServe(listen, handler(r, state)) }()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	select {
	case <-ctx.Done():
	case err = <-failed:
	case <-r.Done(): // a fault of the disk, say, or its removal, which Stop returns
	}
	return errors.Join(err, r.Stop(context.Background()))
}

// clusterID keeps members of another cluster out, whose addresses or directories got
// mixed up with ours; group tells groups apart that share an engine and a transport.
const clusterID, group = 1, 1

func start(id uint64, peers []raft.Peer, engine *pebblestore.Engine, network *transport.Transport,
	state *counter, snapshots string) (*replica.Replica, error) {
	storage, err := engine.Group(group)
	if err != nil {
		return nil, err
	}
	wire, err := network.Group(group)
	if err != nil {
		return nil, err
	}
	return replica.Start(replica.Config{
		ID: id, Bootstrap: peers,
		Storage: storage, Transport: wire, StateMachine: state, SnapshotDir: snapshots,
		HandOverOnStop: true, StopWhenRemoved: true,
	})
}

func handler(r *replica.Replica, state *counter) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /add", func(w http.ResponseWriter, req *http.Request) {
		delta, err := strconv.ParseInt(req.FormValue("n"), 10, 64)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		result, err := r.Propose(req.Context(), binary.AppendVarint(nil, delta))
		answer(w, result, err)
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, req *http.Request) {
		err := r.Read(req.Context()) // from here on the state is fresh enough
		answer(w, state.n.Load(), err)
	})
	return mux
}

func answer(w http.ResponseWriter, result any, err error) {
	switch {
	case errors.Is(err, replica.ErrNotApplied): // certain: the client may try again
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	case err != nil: // it may have been added or not
		http.Error(w, err.Error(), http.StatusGatewayTimeout)
	default:
		fmt.Fprintln(w, result)
	}
}

// parseMembers also returns the address of member id.
func parseMembers(text string, id uint64) (peers []raft.Peer, own string, err error) {
	for _, member := range strings.Split(text, ",") {
		number, address, _ := strings.Cut(member, "=")
		peer, err := strconv.ParseUint(number, 10, 64)
		if err != nil || address == "" {
			return nil, "", fmt.Errorf("-members: %q is not ID=address", member)
		}
		if peers = append(peers, raft.Peer{ID: peer, Context: []byte(address)}); peer == id {
			own = address
		}
	}
	if own == "" {
		return nil, "", fmt.Errorf("-members: %d is not among %q", id, text)
	}
	return peers, own, nil
}
