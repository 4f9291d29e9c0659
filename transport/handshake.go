package transport

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
)

// The first bytes on a connection: the dialer's hello, then the acceptor's
// welcome. They are small, so that a stranger costs no more than that; see the
// package documentation for the layout.
const (
	magic       = "QUORATE\n"
	helloSize   = 48 // and at most maxAddress bytes of address
	welcomeSize = 32
	maxAddress  = 255

	protocolVersion    = 1
	minProtocolVersion = 1
)

// Lane is one of the connections between two nodes.
type Lane uint8

// The lanes; see the package documentation.
const (
	// LaneControl carries what must not wait: heartbeats, votes, reads,
	// hand-overs, and their answers.
	LaneControl Lane = iota
	// LaneLog carries appends, their answers, and proposals, in order.
	LaneLog
	// LaneSnapshot carries one snapshot.
	LaneSnapshot

	lanes
	messageLanes = LaneSnapshot
)

// String returns the lane's name.
func (l Lane) String() string {
	switch l {
	case LaneControl:
		return "control"
	case LaneLog:
		return "log"
	case LaneSnapshot:
		return "snapshot"
	}
	return fmt.Sprintf("lane %d", uint8(l))
}

// hello is what the dialer says.
type hello struct {
	version, minVersion uint16
	lane                Lane
	cluster, from, to   uint64
	advertise           string // where the dialer listens; without a host, on the one it dials from
}

func (h hello) encode() []byte {
	b := make([]byte, helloSize, helloSize+len(h.advertise))
	copy(b, magic)
	binary.BigEndian.PutUint16(b[8:], h.version)
	binary.BigEndian.PutUint16(b[10:], h.minVersion)
	b[12] = byte(h.lane)
	b[13] = byte(len(h.advertise))
	binary.BigEndian.PutUint64(b[16:], h.cluster)
	binary.BigEndian.PutUint64(b[24:], h.from)
	binary.BigEndian.PutUint64(b[32:], h.to)
	b = append(b, h.advertise...)
	seal(b, helloSize)
	return b
}

func readHello(r io.Reader) (hello, error) {
	var b [helloSize + maxAddress]byte
	if err := readMagic(r, b[:helloSize]); err != nil {
		return hello{}, err
	}
	all := b[:helloSize+int(b[13])]
	if err := readSealed(r, all, helloSize); err != nil {
		return hello{}, err
	}
	return hello{
		version:    binary.BigEndian.Uint16(b[8:]),
		minVersion: binary.BigEndian.Uint16(b[10:]),
		lane:       Lane(b[12]),
		cluster:    binary.BigEndian.Uint64(b[16:]),
		from:       binary.BigEndian.Uint64(b[24:]),
		to:         binary.BigEndian.Uint64(b[32:]),
		advertise:  string(all[helloSize:]),
	}, nil
}

// answer says whether the acceptor takes a connection.
type answer uint8

const (
	answerWelcome answer = iota
	answerCluster
	answerNode
	answerVersion
	answerLane
	answerName
	answerBusy
	answerClosing
)

func (a answer) String() string {
	switch a {
	case answerWelcome:
		return "welcome"
	case answerCluster:
		return "another cluster"
	case answerNode:
		return "another node is asked for, or this one asks itself"
	case answerVersion:
		return "no common protocol version"
	case answerLane:
		return "unknown lane"
	case answerName:
		return "the certificate is not that node's"
	case answerBusy:
		return "too many connections"
	case answerClosing:
		return "shutting down"
	}
	return fmt.Sprintf("reason %d", uint8(a))
}

// welcome is what the acceptor says.
type welcome struct {
	version  uint16
	answer   answer
	maxFrame uint32
	node     uint64
}

func (w welcome) encode() []byte {
	b := make([]byte, welcomeSize)
	copy(b, magic)
	binary.BigEndian.PutUint16(b[8:], w.version)
	b[10] = byte(w.answer)
	binary.BigEndian.PutUint32(b[12:], w.maxFrame)
	binary.BigEndian.PutUint64(b[16:], w.node)
	seal(b, welcomeSize)
	return b
}

func readWelcome(r io.Reader) (welcome, error) {
	var b [welcomeSize]byte
	if err := readMagic(r, b[:]); err != nil {
		return welcome{}, err
	}
	if err := readSealed(r, b[:], welcomeSize); err != nil {
		return welcome{}, err
	}
	return welcome{
		version:  binary.BigEndian.Uint16(b[8:]),
		answer:   answer(b[10]),
		maxFrame: binary.BigEndian.Uint32(b[12:]),
		node:     binary.BigEndian.Uint64(b[16:]),
	}, nil
}

// seal writes the checksum of the rest of b into the four bytes that end at end.
func seal(b []byte, end int) { binary.BigEndian.PutUint32(b[end-4:], sealOf(b, end)) }

func sealOf(b []byte, end int) uint32 {
	return crc32.Update(crc32.Checksum(b[:end-4], castagnoli), castagnoli, b[end:])
}

// readMagic fills b. It gives up at the first bytes if they are not ours.
func readMagic(r io.Reader, b []byte) error {
	if _, err := io.ReadFull(r, b[:len(magic)]); err != nil {
		return handshakeBroken(err)
	}
	if string(b[:len(magic)]) != magic {
		return violation("not this protocol: %q", b[:len(magic)])
	}
	if _, err := io.ReadFull(r, b[len(magic):]); err != nil {
		return handshakeBroken(err)
	}
	return nil
}

// readSealed reads what b has beyond end, and checks the seal before end.
func readSealed(r io.Reader, b []byte, end int) error {
	if _, err := io.ReadFull(r, b[end:]); err != nil {
		return handshakeBroken(err)
	}
	if binary.BigEndian.Uint32(b[end-4:]) != sealOf(b, end) {
		return violation("handshake with a wrong checksum")
	}
	return nil
}

func handshakeBroken(err error) error {
	return fmt.Errorf("transport: reading the handshake: %w", unexpected(err))
}

// judge decides on a hello at the node that it reached.
func (h hello) judge(cluster, node uint64) answer {
	switch {
	case h.version < minProtocolVersion || h.minVersion > protocolVersion || h.minVersion > h.version:
		return answerVersion
	case h.cluster != cluster:
		return answerCluster
	case h.to != node || h.from == node || h.from == 0:
		return answerNode
	case h.lane >= lanes:
		return answerLane
	}
	return answerWelcome
}

// check decides on a welcome at the node that dialed.
func (w welcome) check(node uint64) error {
	switch {
	case w.answer != answerWelcome:
		return &HandshakeError{ByPeer: true, Reason: w.answer.String()}
	case w.version < minProtocolVersion || w.version > protocolVersion:
		return &HandshakeError{Reason: fmt.Sprintf("protocol version %d", w.version)}
	case w.node != node:
		return &HandshakeError{Reason: fmt.Sprintf("node %d answers for node %d", w.node, node)}
	}
	return nil
}
