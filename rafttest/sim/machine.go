package sim

import "encoding/binary"

// machine is the replicated state machine: a few registers, and for each client
// the newest operation with its answer, so that one that is proposed again takes
// effect once (dissertation §6.3).
//
// A register counts generations: the first operation of a new one resets it, and
// late ones of an old one have no effect. Each is a key of its own to the check
// of linearizability, so that histories stay short however long a run is.
type machine struct {
	applied  uint64
	digest   uint64 // of all that was applied
	regs     [numRegisters]register
	sessions [maxClients]session
}

const (
	numRegisters = 4
	maxClients   = 8
)

type register struct{ gen, value uint64 }

type session struct {
	seq    uint64
	answer answer
}

// answer is what a client is told.
type answer struct {
	done bool // false if the operation's generation is over: no effect
	ok   bool // for compare-and-set: it was set
}

type opKind uint8

const (
	opRead opKind = iota
	opWrite
	opCompareAndSet
)

// command is an operation that changes a register.
type command struct {
	client uint8
	kind   opKind
	reg    uint8
	seq    uint64
	gen    uint64
	value  uint64
	expect uint64
}

const commandSize = 1 + 3 + 4*8

// commandMark begins the data of every entry that the clients here propose.
const commandMark = 'c'

func (c *command) encode() []byte {
	b := make([]byte, 0, commandSize)
	b = append(b, commandMark, c.client, byte(c.kind), c.reg)
	b = binary.LittleEndian.AppendUint64(b, c.seq)
	b = binary.LittleEndian.AppendUint64(b, c.gen)
	b = binary.LittleEndian.AppendUint64(b, c.value)
	return binary.LittleEndian.AppendUint64(b, c.expect)
}

func decodeCommand(b []byte) (c command, ok bool) {
	if len(b) != commandSize || b[0] != commandMark || int(b[1]) >= maxClients || int(b[3]) >= numRegisters {
		return c, false
	}
	c.client, c.kind, c.reg = b[1], opKind(b[2]), b[3]
	c.seq = binary.LittleEndian.Uint64(b[4:])
	c.gen = binary.LittleEndian.Uint64(b[12:])
	c.value = binary.LittleEndian.Uint64(b[20:])
	c.expect = binary.LittleEndian.Uint64(b[28:])
	return c, true
}

// apply applies a command. first says that it was not applied before.
func (m *machine) apply(c *command) (a answer, first bool) {
	s := &m.sessions[c.client]
	switch {
	case c.seq == s.seq:
		return s.answer, false
	case c.seq < s.seq:
		// The client has gone on, nobody waits.
		return answer{}, false
	}
	s.seq, s.answer = c.seq, m.execute(c)
	return s.answer, true
}

func (m *machine) execute(c *command) answer {
	reg := &m.regs[c.reg]
	if c.gen > reg.gen {
		*reg = register{gen: c.gen}
	}
	switch {
	case c.gen < reg.gen:
		return answer{}
	case c.kind == opCompareAndSet && reg.value != c.expect:
		return answer{done: true}
	}
	reg.value = c.value
	return answer{done: true, ok: true}
}

// read returns a register's value in a generation; false if that is over.
func (m *machine) read(reg uint8, gen uint64) (uint64, bool) {
	switch r := &m.regs[reg]; {
	case gen > r.gen:
		return 0, true
	case gen < r.gen:
		return 0, false
	default:
		return r.value, true
	}
}

// machineSize is how many bytes encode returns.
const machineSize = 16 + 16*numRegisters + 9*maxClients

// encode returns the state as a snapshot's data.
func (m *machine) encode() []byte {
	b := make([]byte, 0, machineSize)
	b = binary.LittleEndian.AppendUint64(b, m.applied)
	b = binary.LittleEndian.AppendUint64(b, m.digest)
	for i := range m.regs {
		b = binary.LittleEndian.AppendUint64(b, m.regs[i].gen)
		b = binary.LittleEndian.AppendUint64(b, m.regs[i].value)
	}
	for i := range m.sessions {
		s := &m.sessions[i]
		b = binary.LittleEndian.AppendUint64(b, s.seq)
		b = append(b, bit(s.answer.done)|bit(s.answer.ok)<<1)
	}
	return b
}

func bit(v bool) byte {
	if v {
		return 1
	}
	return 0
}

// decodeMachine reads what encode wrote; no data is the state before the first
// entry.
func decodeMachine(b []byte) machine {
	var m machine
	if len(b) == 0 {
		return m
	}
	next := func() uint64 {
		v := binary.LittleEndian.Uint64(b)
		b = b[8:]
		return v
	}
	m.applied, m.digest = next(), next()
	for i := range m.regs {
		m.regs[i] = register{next(), next()}
	}
	for i := range m.sessions {
		m.sessions[i].seq = next()
		m.sessions[i].answer = answer{done: b[0]&1 != 0, ok: b[0]&2 != 0}
		b = b[1:]
	}
	return m
}
