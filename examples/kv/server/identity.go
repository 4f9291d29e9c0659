package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/zap"

	"github.com/quorate-raft/raft/examples/kv/store"
)

// Errors of a directory, matched with errors.Is.
var (
	// ErrIdentity: the directory is another server's, or another cluster's.
	ErrIdentity = errors.New("server: the directory belongs to another server")
	// ErrInUse: another process has the directory open.
	ErrInUse = errors.New("server: the directory is in use by another process")
	// ErrDamaged: the directory holds what no server of this kind wrote.
	ErrDamaged = errors.New("server: the directory is damaged")
	// ErrRemoved: the server was removed from its cluster. Its directory is of no use
	// any more: a new server joins with an empty one.
	ErrRemoved = errors.New("server: it was removed from the cluster")
)

// clusterID is written in hexadecimal wherever people see it.
type clusterID uint64

func (c clusterID) String() string { return fmt.Sprintf("%016x", uint64(c)) }

func (c clusterID) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

func (c *clusterID) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 16, 64)
	*c = clusterID(n)
	return err
}

// identity says whose a directory is. It is written before anything else, and what
// it says is what the server is, whatever its flags are. Of a server that has asked to
// join, and has no answer yet, it is pending: Claim, Via and Joining, and the ID that it
// wants, if any.
type identity struct {
	Format  int       `json:"format"`
	Cluster clusterID `json:"cluster"`
	ID      uint64    `json:"id"`
	// Name is what the cluster was called when it was founded.
	Name string `json:"name,omitempty"`
	// Lived says that the log has held something: from then on an empty one is one that
	// was lost, with the votes and the entries that the server has answered for.
	Lived bool `json:"lived,omitempty"`
	// Removed is the log index of a configuration without the server, once it knows of one.
	Removed uint64 `json:"removed,omitempty"`
	// Claim is the number by which a server that joins is given its ID, and the same one
	// if it has to ask again.
	Claim uint64 `json:"claim,omitempty"`
	// Log is the directory of the log. Recovery makes a new one.
	Log string `json:"log"`
	// Before is the cluster that the server was recovered from, whose state may still
	// be said to be.
	Before clusterID `json:"recovered_from,omitempty"`
	// First are the contexts of the first members, which count until the log holds
	// them.
	First map[uint64]string `json:"first_members,omitempty"`
	// Peers are contexts of members that a server which joins may talk to before it
	// has a configuration, Via the URLs through which it asks.
	Peers map[uint64]string `json:"peers,omitempty"`
	Via   []string          `json:"via,omitempty"`
	// Joining is the role that the server still has to get, "" once it has it.
	Joining string `json:"joining,omitempty"`
	// Member is the log index of a configuration that the server is known to have been a
	// member of, 0 if there is none. Without the server in it, a later one says that it
	// was removed; one from before, which is met again when entries are applied anew after
	// a crash, says nothing.
	Member uint64 `json:"member,omitempty"`
}

const (
	identityFile   = "server.json"
	lockFile       = "LOCK"
	identityFormat = 1
)

// lockDir makes the directory and keeps others out.
func lockDir(dir string) (io.Closer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := vfs.Default.Lock(filepath.Join(dir, lockFile))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrInUse, dir, err)
	}
	return lock, nil
}

// readIdentity returns the directory's identity, nil if it has none.
func readIdentity(dir string) (*identity, error) {
	data, err := os.ReadFile(filepath.Join(dir, identityFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, checkUnused(dir, "")
	}
	if err != nil {
		return nil, err
	}
	id := &identity{}
	switch err := json.Unmarshal(data, id); {
	case err != nil:
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, filepath.Join(dir, identityFile), err)
	case id.Format != identityFormat:
		return nil, fmt.Errorf("%w: %s has format %d, this program knows %d", ErrDamaged, dir, id.Format, identityFormat)
	case id.pending() && id.Log == "" && len(id.Via) > 0:
		return id, checkUnused(dir, identityFile)
	case id.ID == 0 || id.Cluster == 0 || id.Log == "" || filepath.Base(id.Log) != id.Log:
		return nil, fmt.Errorf("%w: %s is incomplete", ErrDamaged, filepath.Join(dir, identityFile))
	}
	return id, nil
}

// forgetClaim removes what a server that has asked to join has written.
func forgetClaim(dir string) error {
	if err := os.Remove(filepath.Join(dir, identityFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return syncDir(dir)
}

// checkUnused refuses a directory that has data and no identity: with a new one the
// server would be somebody else with a log that is not its own. pending names the file of
// one that has asked for an identity, if there is one.
func checkUnused(dir, pending string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if name := e.Name(); name != lockFile && name != identityFile+".new" && name != "lost+found" && name != pending {
			return fmt.Errorf("%w: %s has %s but no %s", ErrDamaged, dir, name, identityFile)
		}
	}
	return nil
}

// save replaces the directory's identity: after a crash there is the old one or the
// new one.
func (id *identity) save(dir string) error {
	data, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return err
	}
	name := filepath.Join(dir, identityFile)
	if err := writeSynced(name+".new", append(data, '\n')); err != nil {
		return err
	}
	if err := os.Rename(name+".new", name); err != nil {
		return err
	}
	return syncDir(dir)
}

func writeSynced(name string, data []byte) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// check compares the identity with what the config says of it.
func (id *identity) check(c *Config) error {
	mismatch := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s is of server %d of cluster %v, %s", ErrIdentity, c.Dir, id.ID, id.Cluster,
			fmt.Sprintf(format, args...))
	}
	if c.ID != 0 && c.ID != id.ID {
		return mismatch("not of server %d", c.ID)
	}
	if c.Cluster != "" && c.Cluster != id.Name {
		return mismatch("which is called %q and not %q", id.Name, c.Cluster)
	}
	// A server of the first members has the cluster's ID from them. One that joined,
	// or was recovered, has it from elsewhere.
	if len(c.Members) > 0 && len(id.First) > 0 {
		if other := groupClusterID(c.Cluster, c.Members); other != id.Cluster {
			return mismatch("not of cluster %v, which these members make up", other)
		}
	}
	return nil
}

// pending says whether the server has asked to join, and has no answer yet.
func (id *identity) pending() bool { return id.Cluster == 0 && id.Claim != 0 }

// wasRemoved says whether a configuration by a log entry, if it does without the server, is
// one that came after it had been a member.
func (id *identity) wasRemoved(index uint64) bool { return id.Member != 0 && index > id.Member }

// openState opens the state, as that of an identity.
func openState(dir string, id *identity, log *zap.Logger) (*store.Store, error) {
	path := filepath.Join(dir, stateDir)
	o := &store.Options{ClusterID: uint64(id.Cluster), NodeID: id.ID, Logger: log}
	state, err := store.Open(path, o)
	var other *store.IdentityError
	if errors.As(err, &other) && id.Before != 0 && other.ClusterID == uint64(id.Before) && other.NodeID == id.ID {
		// Recovery went as far as to say whose it is now, and this is what is left of it.
		o.ClusterID = uint64(id.Before)
		if err := store.Rebrand(path, o, uint64(id.Cluster)); err != nil {
			return nil, err
		}
		o.ClusterID = uint64(id.Cluster)
		return store.Open(path, o)
	}
	return state, err
}
