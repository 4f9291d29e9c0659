package explore

import "encoding/binary"

// state is a state of the whole group, by the numbers of its parts.
type state struct {
	members []uint32
	ghost   uint32
	left    [numBudgets]uint8
	changes uint8 // those that were not proposed yet, as a set
	ticked  uint8 // who is a tick ahead of the others, as a set
	net     []uint32
}

func (s *state) append(b []byte) []byte {
	for _, id := range s.members {
		b = binary.LittleEndian.AppendUint32(b, id)
	}
	b = binary.LittleEndian.AppendUint32(b, s.ghost)
	b = append(b, s.left[:]...)
	b = append(b, s.changes, s.ticked)
	for _, id := range s.net {
		b = binary.LittleEndian.AppendUint32(b, id)
	}
	return b
}

func (s *state) read(b []byte, members int) {
	s.members, s.net = s.members[:0], s.net[:0]
	for range members {
		s.members = append(s.members, binary.LittleEndian.Uint32(b))
		b = b[4:]
	}
	s.ghost = binary.LittleEndian.Uint32(b)
	b = b[4:]
	b = b[copy(s.left[:], b):]
	s.changes, s.ticked = b[0], b[1]
	for b = b[2:]; len(b) > 0; b = b[4:] {
		s.net = append(s.net, binary.LittleEndian.Uint32(b))
	}
}
