package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// MaxMember is the highest ID that a server can have.
const MaxMember = math.MaxUint64 - 1

// EncodeNewMember returns the command that makes an ID for a server that is to join: one
// that is above above and above every ID that was ever made or reserved. The
// Result.Revision is the ID. Tried again it makes another. Give as above the highest ID of
// a member there is, in case nobody asked for that ID, as for those of the first members.
//
// If the ID would be above MaxMember, the command is refused with ErrExhausted; an above
// that is no ID itself, beyond MaxMember, is ErrMalformed.
func EncodeNewMember(above uint64) []byte { return encodeMember(opNewMember, above) }

// EncodeReserveMembers returns the command that reserves all IDs up to and including
// through, so that none of them is made any more. It goes before the removal of a
// member, whose ID must never be of another: afterwards nobody knows any more that it was
// used. It may be tried again. A through that is no ID, 0 or beyond MaxMember, is
// ErrMalformed.
func EncodeReserveMembers(through uint64) []byte { return encodeMember(opReserveMembers, through) }

func encodeMember(op operation, id uint64) []byte {
	return binary.AppendUvarint([]byte{commandVersion, byte(op)}, id)
}

// checkMember says whether a command's ID is one, or for an EncodeNewMember 0.
func (c *command) checkMember() error {
	if c.member > MaxMember || c.member == 0 && c.op == opReserveMembers {
		return fmt.Errorf("store: %d is no ID of a member", c.member)
	}
	return nil
}

// changeMembers applies an EncodeNewMember or EncodeReserveMembers.
func (s *Store) changeMembers(index uint64, c *command) Result {
	highest := max(s.highest, c.member)
	result := Result{Status: Done, Revision: index}
	if c.op == opNewMember {
		if highest == MaxMember {
			return Result{Status: Exhausted}
		}
		highest++
		result.Revision = highest
	}
	if highest > s.highest {
		s.highest = highest
		_ = s.work.batch.Set(membersKey(s.generation), membersRecordOf(highest), nil) // never fails
	}
	return result
}

func membersKey(generation uint64) []byte { return append(generationPrefix(generation), membersRecord) }

func membersRecordOf(highest uint64) []byte { return binary.BigEndian.AppendUint64(nil, highest) }

var errMembers = errors.New("store: the record of the members' IDs is not one")

// parseMembers takes the record apart, of which the key is what follows its first byte.
func parseMembers(key, record []byte) (highest uint64, err error) {
	if len(key) != 0 || len(record) != 8 {
		return 0, errMembers
	}
	highest = binary.BigEndian.Uint64(record)
	if highest == 0 || highest > MaxMember {
		return 0, errMembers
	}
	return highest, nil
}
