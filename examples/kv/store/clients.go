package store

import (
	"cmp"
	"container/list"
	"encoding/binary"
	"fmt"
	"slices"
)

// MaxClients is how many clients are remembered. One more, and the client whose
// last request is the oldest, by its index in the log, is forgotten: the same on
// every server. It is part of what commands mean.
const MaxClients = 10_000

// client is what is remembered of a client: the last of its requests.
type client struct {
	id     uint64
	used   uint64 // log index of its last request that was applied, or of its registration
	number uint64
	result Result
}

const clientLen = 8 + 8 + 1 + 8

func (c *client) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, c.used)
	dst = binary.BigEndian.AppendUint64(dst, c.number)
	return binary.BigEndian.AppendUint64(append(dst, byte(c.result.Status)), c.result.Revision)
}

// parseClient takes a client's record apart, and checks what can be checked.
func parseClient(key, record []byte) (*client, error) {
	if len(key) != 8 || len(record) != clientLen {
		return nil, fmt.Errorf("store: the record of a client has %d and %d bytes", len(key), len(record))
	}
	c := &client{
		id:     binary.BigEndian.Uint64(key),
		used:   binary.BigEndian.Uint64(record),
		number: binary.BigEndian.Uint64(record[8:]),
		result: Result{Status: Status(record[16]), Revision: binary.BigEndian.Uint64(record[17:])},
	}
	status := c.result.Status
	if c.id == 0 || c.id > c.used || status < Done || status > Mismatch || c.result.Revision > c.used {
		return nil, fmt.Errorf("store: the record of client %d is %x", c.id, record)
	}
	return c, nil
}

// clientTable holds the clients in memory. Its records in Pebble are the same.
type clientTable struct {
	max  int
	byID map[uint64]*list.Element // of *client
	// byUse has the client whose last request is oldest in front.
	byUse list.List
}

// newClientTable returns a table of clients, which come in any order.
func newClientTable(limit int, clients []*client) (*clientTable, error) {
	t := &clientTable{max: limit, byID: make(map[uint64]*list.Element, len(clients))}
	slices.SortFunc(clients, func(a, b *client) int { return cmp.Compare(a.used, b.used) })
	for i, c := range clients {
		if i > 0 && clients[i-1].used == c.used {
			return nil, fmt.Errorf("store: clients %d and %d both made the request at index %d", clients[i-1].id, c.id, c.used)
		}
		t.byID[c.id] = t.byUse.PushBack(c)
	}
	if len(t.byID) > limit {
		return nil, fmt.Errorf("store: %d clients, more than %d", len(t.byID), limit)
	}
	return t, nil
}

// add registers a client, and returns the one that is forgotten for it, if any.
func (t *clientTable) add(c *client) (forgotten *client) {
	if len(t.byID) >= t.max {
		forgotten = t.byUse.Remove(t.byUse.Front()).(*client)
		delete(t.byID, forgotten.id)
	}
	t.byID[c.id] = t.byUse.PushBack(c)
	return forgotten
}

// answer returns the result of a request that is not to be applied, because it was
// or cannot be. Otherwise it returns the client.
func (t *clientTable) answer(id RequestID) (Result, *list.Element) {
	e, known := t.byID[id.Client]
	if !known {
		return Result{Status: UnknownClient}, nil
	}
	switch c := e.Value.(*client); {
	case id.Number < c.number:
		return Result{Status: Superseded}, nil
	case id.Number == c.number:
		return c.result, nil
	}
	return Result{}, e
}

// use remembers the result of a client's request.
func (t *clientTable) use(e *list.Element, number, index uint64, result Result) *client {
	c := e.Value.(*client)
	c.used, c.number, c.result = index, number, result
	t.byUse.MoveToBack(e)
	return c
}
