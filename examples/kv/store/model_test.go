package store

import (
	"bytes"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
)

// request is a command in the model's terms.
type request struct {
	index      uint64
	op         operation
	id         RequestID
	key, value string
	condition  Condition
	member     uint64
	bound      uint64
	claim      uint64
	data       []byte // encoded
}

// model is the state as plain maps, written without a look at the store.
type model struct {
	keys    map[string]Entry
	clients map[uint64]client
	highest uint64            // ID of a member
	open    map[uint64]uint64 // IDs with their claims
	events  []Event
}

func newModel() *model {
	return &model{keys: map[string]Entry{}, clients: map[uint64]client{}, open: map[uint64]uint64{}}
}

// modelAt returns what the commands up to index make.
func modelAt(log []request, index uint64) *model {
	m := newModel()
	for i := range log {
		if log[i].index <= index {
			m.apply(&log[i])
		}
	}
	return m
}

func (m *model) apply(r *request) Result {
	switch {
	case r.op == 0:
		return Result{Status: Malformed}
	case r.op == opRegister:
		if len(m.clients) == fewClients {
			var oldest client
			for _, c := range m.clients {
				if oldest.id == 0 || c.used < oldest.used {
					oldest = c
				}
			}
			delete(m.clients, oldest.id)
		}
		m.clients[r.index] = client{id: r.index, used: r.index, result: Result{Done, r.index}}
		return Result{Done, r.index}
	case r.op == opNewMember || r.op == opUseMember || r.op == opRetireMembers:
		return m.changeMembers(r)
	case r.id.Client == 0:
		return m.change(r)
	}
	c, ok := m.clients[r.id.Client]
	switch {
	case !ok:
		return Result{Status: UnknownClient}
	case r.id.Number < c.number:
		return Result{Status: Superseded}
	case r.id.Number == c.number:
		return c.result
	}
	c.used, c.number, c.result = r.index, r.id.Number, m.change(r)
	m.clients[c.id] = c
	return c.result
}

func (m *model) changeMembers(r *request) Result {
	switch {
	case r.member == math.MaxUint64 || r.bound == math.MaxUint64:
		return Result{Status: Malformed}
	case r.op == opUseMember && r.member == 0, r.op == opRetireMembers && r.bound < max(1, r.member):
		return Result{Status: Malformed}
	case r.op == opUseMember:
		if claim, ok := m.open[r.member]; !ok || claim != r.claim {
			return Result{Status: Taken}
		}
		return Result{Done, r.index}
	case r.op == opRetireMembers:
		m.highest = max(m.highest, r.bound)
		maps.DeleteFunc(m.open, func(id, _ uint64) bool { return r.member == 0 || id == r.member })
		return Result{Done, r.index}
	}
	for id, claim := range m.open {
		switch {
		case r.claim == 0 || claim != r.claim:
		case r.member == 0 || r.member == id:
			return Result{Done, id}
		default:
			return Result{Taken, id}
		}
	}
	if claim, ok := m.open[r.member]; ok && claim == 0 && r.claim != 0 {
		m.open[r.member] = r.claim
		return Result{Done, r.member}
	}
	highest := max(m.highest, r.bound)
	id := r.member
	switch {
	case id == 0 && highest == math.MaxUint64-1:
		return Result{Status: Exhausted}
	case id == 0:
		id = highest + 1
	case id <= highest || id > highest+1_000_000 && highest < math.MaxUint64-1_000_000:
		return Result{Status: Taken}
	}
	m.highest = id
	m.open[id] = r.claim
	if len(m.open) > fewOpen {
		delete(m.open, slices.Min(slices.Collect(maps.Keys(m.open))))
	}
	return Result{Done, id}
}

func (m *model) change(r *request) Result {
	e, ok := m.keys[r.key]
	event := Event{Key: []byte(r.key), Value: []byte(r.value), Revision: r.index}
	switch {
	case r.op == opDelete && !ok:
		return Result{Status: Absent}
	case r.op == opDelete:
		delete(m.keys, r.key)
		event.Value, event.Deleted = nil, true
		m.events = append(m.events, event)
		return Result{Done, r.index}
	case r.op == opCompareAndSet:
		holds := map[condition]bool{
			ifAbsent:   !ok,
			ifValue:    ok && bytes.Equal(e.Value, r.condition.value),
			ifRevision: ok && e.Revision == r.condition.revision,
		}
		if !holds[r.condition.kind] {
			return Result{Mismatch, e.Revision}
		}
	}
	m.keys[r.key] = Entry{Key: []byte(r.key), Value: []byte(r.value), Revision: r.index}
	m.events = append(m.events, event)
	return Result{Done, r.index}
}

// entries returns the keys in order.
func (m *model) entries() []Entry {
	var all []Entry
	for _, key := range slices.Sorted(maps.Keys(m.keys)) {
		all = append(all, m.keys[key])
	}
	return all
}

// generator makes requests by chance that have much to do with each other.
type generator struct {
	rnd  *rand.Rand
	m    *model // as of the last request
	log  []request
	last uint64 // index; others than commands are in a log too
}

func (g *generator) next() (request, Result) {
	g.last++
	if g.rnd.IntN(10) == 0 {
		g.last += 1 + g.rnd.Uint64N(3)
	}
	r := g.request()
	r.index = g.last
	g.log = append(g.log, r)
	return r, g.m.apply(&r)
}

func (g *generator) request() request {
	if n := g.rnd.IntN(20); n == 0 {
		return request{op: opRegister, data: EncodeRegister()}
	} else if n < 5 && len(g.log) > 0 { // a retry, often of something recent
		return g.log[max(0, len(g.log)-1-g.rnd.IntN(1+g.rnd.IntN(len(g.log))))]
	} else if n == 5 {
		return g.members()
	}
	r := request{op: []operation{opPut, opPut, opDelete, opCompareAndSet, opCompareAndSet}[g.rnd.IntN(5)], id: g.id()}
	r.key = string(keyName(g.rnd.IntN(12)))
	if r.op != opDelete {
		r.value = string(bytes.Repeat([]byte{byte('a' + g.rnd.IntN(3))}, []int{0, 1, 100, 20_000}[g.rnd.IntN(4)]))
	}
	e := g.m.keys[r.key]
	switch r.op {
	case opPut:
		r.data = must(EncodePut(r.id, []byte(r.key), []byte(r.value)))
	case opDelete:
		r.data = must(EncodeDelete(r.id, []byte(r.key)))
	default:
		conditions := []Condition{IfAbsent(), IfValue(e.Value), IfRevision(e.Revision), IfValue([]byte("no")), IfRevision(g.last)}
		r.condition = conditions[g.rnd.IntN(len(conditions))]
		r.data = must(EncodeCompareAndSet(r.id, []byte(r.key), r.condition, []byte(r.value)))
	}
	if g.rnd.IntN(20) == 0 {
		return request{data: r.data[:g.rnd.IntN(len(r.data))]}
	}
	return r
}

// members returns a request about IDs, mostly ones not far from those that were given, and
// claims that were made before.
func (g *generator) members() request {
	high := g.m.highest
	ids := []uint64{0, 0, high, high + 1, high + 3, high - g.rnd.Uint64N(min(high, 8)+1), g.rnd.Uint64N(100), high + 1_000_000, high + 1_000_001, math.MaxUint64}
	for id := range g.m.open {
		ids = append(ids, id)
	}
	slices.Sort(ids) // so that what is drawn does not depend on the map's order
	anID := func() uint64 { return ids[g.rnd.IntN(len(ids))] }
	r := request{op: opNewMember, member: anID(), claim: g.rnd.Uint64N(10)}
	if g.rnd.IntN(2) == 0 {
		r.bound = g.rnd.Uint64N(high + 2)
	}
	if g.rnd.IntN(100) == 0 {
		r.bound = math.MaxUint64 - 1 - g.rnd.Uint64N(3)
	}
	r.data = EncodeNewMember(r.bound, r.member, r.claim)
	switch g.rnd.IntN(4) {
	case 0:
		r.op, r.bound = opUseMember, 0
		r.data = EncodeUseMember(r.member, r.claim)
	case 1:
		r.op, r.claim = opRetireMembers, 0
		if r.bound = r.member; r.member == 0 {
			r.bound = anID()
		}
		r.data = EncodeRetireMembers(r.member, r.bound)
	}
	return r
}

// id returns nobody's, or one of a client, mostly with its next number.
func (g *generator) id() RequestID {
	ids := slices.Sorted(maps.Keys(g.m.clients))
	switch n := g.rnd.IntN(10); {
	case n < 3 || len(ids) == 0:
		return RequestID{}
	case n == 3:
		return RequestID{Client: 1 + g.rnd.Uint64N(g.last+1), Number: 1 + g.rnd.Uint64N(9)}
	}
	c := g.m.clients[ids[g.rnd.IntN(len(ids))]]
	return RequestID{Client: c.id, Number: c.number + 1 + g.rnd.Uint64N(2)}
}
