package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2"
)

// MaxMember is the highest ID that a server can have.
const MaxMember = math.MaxUint64 - 1

// Limits of the IDs of servers. They are part of what commands mean, and so the same on
// every server.
const (
	// MaxOpenMembers is how many IDs are open. When one more is given, the lowest is
	// forgotten: it is its server's no more, and nobody else's ever.
	MaxOpenMembers = 1_000
	// MaxMemberSkip is by how much an ID that a server wants may be above all that
	// were given: else one request would use them up.
	MaxMemberSkip = 1_000_000
)

// EncodeNewMember returns the command that gives an ID to a server that is to join. It is
// open from then on, and the claim's: a random number by which the server says that it is
// the same as before. Claim 0 leaves it to the first claim that wants the ID.
//
// Tried again with a claim, the command gives what it gave. Otherwise wanted 0 is the
// next ID. Another is given if it is open and without a claim, or if it is above every ID
// that was ever given or retired, by MaxMemberSkip at most; else the command is refused
// with ErrTaken, as it is for a claim that has another ID. Give as above the highest
// ID of a member there is, since nobody asked for those of the first members.
//
// The Result.Revision is the ID, also with ErrTaken if the claim has one. If the
// next ID would be above MaxMember, the command is refused with ErrExhausted; an above or
// wanted that is beyond MaxMember is ErrMalformed.
func EncodeNewMember(above, wanted, claim uint64) []byte {
	return encodeMember(&command{op: opNewMember, bound: above, member: wanted, claim: claim})
}

// EncodeUseMember returns the command that asks whether an ID is open and the claim's, or if
// that is 0 nobody's. It goes before the ID becomes that of a member, and changes
// nothing; it is refused with ErrTaken. An ID of 0 or beyond MaxMember is ErrMalformed.
func EncodeUseMember(id, claim uint64) []byte {
	return encodeMember(&command{op: opUseMember, member: id, claim: claim})
}

// EncodeRetireMembers returns the command after which an ID, or with 0 each, is open no
// more, and none up to and including through is ever given. It goes before the removal
// of a member, whose ID must never be of another: afterwards nobody knows any more that
// it was used. It may be tried again. A through that is no ID, 0 or beyond MaxMember, or
// less than id, is ErrMalformed.
func EncodeRetireMembers(id, through uint64) []byte {
	return encodeMember(&command{op: opRetireMembers, member: id, bound: through})
}

func encodeMember(c *command) []byte {
	b := []byte{commandVersion, byte(c.op)}
	for _, field := range c.memberFields() {
		b = binary.AppendUvarint(b, *field)
	}
	return b
}

// memberFields are what a command about the IDs of servers has.
func (c *command) memberFields() []*uint64 {
	switch c.op {
	case opNewMember:
		return []*uint64{&c.bound, &c.member, &c.claim}
	case opUseMember:
		return []*uint64{&c.member, &c.claim}
	default:
		return []*uint64{&c.member, &c.bound}
	}
}

// checkMember says whether a command's IDs are such, or 0 where that means something.
func (c *command) checkMember() error {
	if c.member > MaxMember || c.bound > MaxMember || c.op == opUseMember && c.member == 0 ||
		c.op == opRetireMembers && (c.bound == 0 || c.bound < c.member) {
		return fmt.Errorf("store: %d and %d are no IDs of members for operation %d", c.member, c.bound, c.op)
	}
	return nil
}

// members is what is known of the IDs of servers.
type members struct {
	highest uint64 // that was given or retired
	// open are the IDs that may become those of members, with their claims. A claim has
	// one ID, 0 is none.
	open map[uint64]uint64
}

// claimed returns a claim's ID, or 0.
func (m *members) claimed(claim uint64) uint64 {
	for id, by := range m.open {
		if by == claim && claim != 0 {
			return id
		}
	}
	return 0
}

// give decides about a new member.
func (m *members) give(above, wanted, claim uint64) Result {
	highest := max(m.highest, above)
	taken := Result{Status: Taken}
	if has := m.claimed(claim); has != 0 {
		if wanted != 0 && wanted != has {
			taken.Revision = has
			return taken
		}
		return Result{Done, has}
	}
	if wanted == 0 {
		if highest == MaxMember {
			return Result{Status: Exhausted}
		}
		return Result{Done, highest + 1}
	}
	if by, open := m.open[wanted]; open && by == 0 && claim != 0 {
		return Result{Done, wanted}
	}
	if wanted <= highest || wanted-highest > MaxMemberSkip {
		return taken
	}
	return Result{Done, wanted}
}

// changeMembers applies a command about the IDs of servers.
func (s *Store) changeMembers(index uint64, c *command) Result {
	m := &s.members
	switch c.op {
	case opUseMember:
		if by, open := m.open[c.member]; !open || by != c.claim {
			return Result{Status: Taken}
		}
	case opNewMember:
		result := m.give(c.bound, c.member, c.claim)
		if result.Status == Done {
			s.openMember(result.Revision, c.claim)
		}
		return result
	case opRetireMembers:
		s.raiseHighest(c.bound)
		if c.member != 0 {
			s.closeMember(c.member)
			break
		}
		for id := range m.open {
			s.closeMember(id)
		}
	}
	return Result{Done, index}
}

// openMember notes whose an ID is.
func (s *Store) openMember(id, claim uint64) {
	open := s.members.open
	if _, known := open[id]; !known && len(open) >= s.o.maxOpen {
		lowest := id
		for other := range open {
			lowest = min(lowest, other)
		}
		s.closeMember(lowest)
	}
	open[id] = claim
	_ = s.work.batch.Set(openMemberKey(s.generation, id), binary.BigEndian.AppendUint64(nil, claim), nil) // never fails
	s.raiseHighest(id)
}

func (s *Store) closeMember(id uint64) {
	if _, open := s.members.open[id]; open {
		delete(s.members.open, id)
		_ = s.work.batch.Delete(openMemberKey(s.generation, id), nil) // never fails
	}
}

func (s *Store) raiseHighest(id uint64) {
	if id > s.members.highest {
		s.members.highest = id
		_ = s.work.batch.Set(membersKey(s.generation), membersRecordOf(id), nil) // never fails
	}
}

func membersKey(generation uint64) []byte { return append(generationPrefix(generation), membersRecord) }

func membersRecordOf(highest uint64) []byte { return binary.BigEndian.AppendUint64(nil, highest) }

func openMemberKey(generation, id uint64) []byte {
	return binary.BigEndian.AppendUint64(append(generationPrefix(generation), openMemberRecord), id)
}

var errMembers = errors.New("store: the record of the members' IDs is not one")

// add adds a record, whose key begins with its kind, and checks that commands can lead to
// it. The one with the highest ID comes before those of open IDs.
func (m *members) add(key, record []byte, limit int) error {
	if len(record) != 8 {
		return errMembers
	}
	n := binary.BigEndian.Uint64(record)
	if key[0] == membersRecord {
		m.highest = n
		if len(key) != 1 || n == 0 || n > MaxMember {
			return errMembers
		}
		return nil
	}
	if len(key) != 1+8 {
		return errMembers
	}
	id := binary.BigEndian.Uint64(key[1:])
	if id == 0 || id > m.highest || m.claimed(n) != 0 || len(m.open) >= limit {
		return fmt.Errorf("store: open ID %d, where the highest is %d and %d are open, of claim %d", id, m.highest, len(m.open), n)
	}
	m.open[id] = n
	return nil
}

func (s *Store) readMembers() (m members, err error) {
	m.open = map[uint64]uint64{}
	it, err := s.db.NewIter(&pebble.IterOptions{
		LowerBound: membersKey(s.generation),
		UpperBound: append(generationPrefix(s.generation), openMemberRecord+1),
	})
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for valid := it.First(); valid; valid = it.Next() {
		value, err := it.ValueAndErr()
		if err == nil {
			err = m.add(it.Key()[prefixLen:], value, s.o.maxOpen)
		}
		if err != nil {
			return m, err
		}
	}
	return m, it.Error()
}
