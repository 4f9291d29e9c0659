package pebblestore

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// formatVersion is the version of keys and values that this program writes.
const formatVersion = 1

var identityKey = []byte{spaceEngine, 'i'}

// identityLen: format version, cluster, node.
const identityLen = 3 * 8

// checkIdentity compares what the directory says of itself with the options, and
// says it in a new one.
func (e *Engine) checkIdentity() error {
	value, closer, err := e.db.Get(identityKey)
	if errors.Is(err, pebble.ErrNotFound) {
		return e.newIdentity()
	}
	if err != nil {
		return e.identityError(err)
	}
	defer closer.Close()
	payload, err := unseal(identityKey, value)
	if err == nil && len(payload) < 8 {
		err = errShort
	}
	if err != nil {
		return &CorruptionError{Key: "identity", Err: err}
	}
	// Later versions may have more to say.
	if version := binary.BigEndian.Uint64(payload); version != formatVersion {
		return &FormatError{Dir: e.dir, Version: version, Newest: formatVersion}
	}
	if len(payload) != identityLen {
		return &CorruptionError{Key: "identity", Err: errShort}
	}
	cluster, node := binary.BigEndian.Uint64(payload[8:]), binary.BigEndian.Uint64(payload[16:])
	if differs(e.o.ClusterID, cluster) || differs(e.o.NodeID, node) {
		return &IdentityError{
			Dir: e.dir, ClusterID: cluster, NodeID: node,
			WantClusterID: e.o.ClusterID, WantNodeID: e.o.NodeID,
		}
	}
	if (cluster == 0 && e.o.ClusterID != 0) || (node == 0 && e.o.NodeID != 0) {
		return e.writeIdentity(max(cluster, e.o.ClusterID), max(node, e.o.NodeID))
	}
	return nil
}

func differs(want, have uint64) bool { return want != 0 && have != 0 && want != have }

// newIdentity marks an empty store as ours.
func (e *Engine) newIdentity() error {
	it, err := e.db.NewIter(nil)
	if err != nil {
		return e.identityError(err)
	}
	defer it.Close()
	if it.First() {
		return &FormatError{Dir: e.dir, Newest: formatVersion}
	}
	if err := it.Error(); err != nil {
		return e.identityError(err)
	}
	return e.writeIdentity(e.o.ClusterID, e.o.NodeID)
}

func (e *Engine) writeIdentity(cluster, node uint64) error {
	value := make([]byte, crcLen, crcLen+identityLen)
	for _, n := range []uint64{formatVersion, cluster, node} {
		value = binary.BigEndian.AppendUint64(value, n)
	}
	binary.LittleEndian.PutUint32(value, checksum(identityKey, value[crcLen:]))
	b := e.newBatch(len(value))
	if err := b.Set(identityKey, value, nil); err != nil {
		return fmt.Errorf("pebblestore: %w", err)
	}
	return e.commit(b, true)
}

func (e *Engine) identityError(err error) error {
	if pebble.IsCorruptionError(err) {
		return &CorruptionError{Key: "identity", File: corruptFile(err), Err: err}
	}
	return fmt.Errorf("pebblestore: reading the identity of %s: %w", e.dir, err)
}
