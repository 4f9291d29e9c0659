package raftpb

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrInvalidConfChange is wrapped by every error about a configuration change that no node could apply: an entry
// of the wrong type, data that does not decode, a type or transition with no meaning here, text that is not a change.
var ErrInvalidConfChange = errors.New("invalid configuration change")

// ConfChangeI is a configuration change of either form, [ConfChange] or [ConfChangeV2].
type ConfChangeI interface {
	// AsV2 returns the change in the form that can express every change.
	AsV2() ConfChangeV2
	// AsV1 returns the change in the form that peers before etcd v3.4 know, and whether it was made in that form.
	AsV1() (ConfChange, bool)
}

var (
	_ ConfChangeI = ConfChange{}
	_ ConfChangeI = ConfChangeV2{}
)

// AsV1 returns c itself and true.
func (c ConfChange) AsV1() (ConfChange, bool) { return c, true }

// AsV2 returns c as a change of one member with an automatic transition. The ID, which only the host reads, is
// lost: ConfChangeV2 has no place for it.
func (c ConfChange) AsV2() ConfChangeV2 {
	return ConfChangeV2{
		Changes: []ConfChangeSingle{{Type: c.Type, NodeID: c.NodeID, Context: c.Context}},
		Context: c.Context,
	}
}

// Equal reports whether both change the same member in the same way.
func (c ConfChangeSingle) Equal(other ConfChangeSingle) bool {
	return c.Type == other.Type && c.NodeID == other.NodeID && bytes.Equal(c.Context, other.Context)
}

// AsV1 returns false. A change made as v2 stays v2 even where v1 could express it, so that what the host
// proposed is what it is asked to apply.
func (c ConfChangeV2) AsV1() (ConfChange, bool) { return ConfChange{}, false }

// AsV2 returns c itself.
func (c ConfChangeV2) AsV2() ConfChangeV2 { return c }

// EnterJoint reports whether the change goes through a joint configuration (§4.3), which it does if it asks for
// one or changes more than one member, and whether the leader then leaves that configuration by itself. If ok is
// false so is autoLeave. A transition that [ConfChangeV2.Validate] refuses counts as a joint one that is left
// automatically.
func (c ConfChangeV2) EnterJoint() (autoLeave, ok bool) {
	if c.Transition == ConfChangeTransitionAuto && len(c.Changes) <= 1 {
		return false, false
	}
	return c.Transition != ConfChangeTransitionJointExplicit, true
}

// LeaveJoint reports whether the change leaves a joint configuration (§4.3): it is empty but for its Context.
func (c ConfChangeV2) LeaveJoint() bool {
	return c.Transition == ConfChangeTransitionAuto && len(c.Changes) == 0 && c.Membership == nil
}

// Validate returns an error that wraps [ErrInvalidConfChange] if the change has a type that is none of the
// declared ones. Whether it fits the current configuration is another question.
func (c ConfChange) Validate() error {
	return validateType(c.Type, c.NodeID)
}

// Validate returns an error that wraps [ErrInvalidConfChange] if the transition, or the type of any change, is none
// of the declared ones, or if Membership contradicts itself or the changes: what sets or ends a target has one void
// change and no other. Whether the change fits the current configuration is another question.
func (c ConfChangeV2) Validate() error {
	if _, known := ConfChangeTransition_name[int32(c.Transition)]; !known {
		return fmt.Errorf("%w: unknown transition %d", ErrInvalidConfChange, int32(c.Transition))
	}
	for _, single := range c.Changes {
		if err := validateType(single.Type, single.NodeID); err != nil {
			return err
		}
	}
	return c.validateMembership()
}

func validateType(t ConfChangeType, node uint64) error {
	if _, known := ConfChangeType_name[int32(t)]; !known {
		return fmt.Errorf("%w: unknown type %d for node %d", ErrInvalidConfChange, int32(t), node)
	}
	return nil
}

// MarshalConfChange encodes c as the data of a log entry and returns the type that the entry must have: v1 if
// AsV1 allows, so that older peers can read it, and else v2. A nil c is the change that leaves a joint configuration:
// EntryConfChangeV2 without data. An error leaves the other results zero.
func MarshalConfChange(c ConfChangeI) (EntryType, []byte, error) {
	if c == nil {
		return EntryConfChangeV2, nil, nil
	}
	entryType, encode := EntryConfChangeV2, c.AsV2().encode
	if v1, ok := c.AsV1(); ok {
		entryType, encode = EntryConfChange, v1.encode
	}
	data, err := encode()
	if err != nil {
		return 0, nil, fmt.Errorf("marshal %v: %w", entryType, err)
	}
	return entryType, data, nil
}

func (c ConfChange) encode() ([]byte, error)   { return c.Marshal() }
func (c ConfChangeV2) encode() ([]byte, error) { return c.Marshal() }

// UnmarshalConfChange returns the change that an entry carries, as a ConfChange or a ConfChangeV2 value according to
// the entry's type. It returns an error that wraps [ErrInvalidConfChange] if the entry is of another type, its data
// does not decode, or Validate refuses the change. Empty data decodes to the zero change: as v2 it leaves a joint
// configuration, as v1 it names node 0 and is void. The change shares no memory with the entry.
func UnmarshalConfChange(e Entry) (ConfChangeI, error) {
	c, err := decodeConfChange(e)
	if err != nil {
		return nil, fmt.Errorf("entry at index %d, term %d: %w", e.Index, e.Term, err)
	}
	return c, nil
}

func decodeConfChange(e Entry) (ConfChangeI, error) {
	switch e.Type {
	case EntryConfChange:
		var c ConfChange
		if err := c.Unmarshal(e.Data); err != nil {
			return nil, fmt.Errorf("%w: %v does not decode: %w", ErrInvalidConfChange, e.Type, err)
		}
		return c, c.Validate()
	case EntryConfChangeV2:
		var c ConfChangeV2
		if err := c.Unmarshal(e.Data); err != nil {
			return nil, fmt.Errorf("%w: %v does not decode: %w", ErrInvalidConfChange, e.Type, err)
		}
		return c, c.Validate()
	default:
		return nil, fmt.Errorf("%w: %v carries none", ErrInvalidConfChange, e.Type)
	}
}

// changeLetters are the letters of the short notation: voter, learner, remove, update.
var changeLetters = map[ConfChangeType]string{
	ConfChangeAddNode:        "v",
	ConfChangeAddLearnerNode: "l",
	ConfChangeRemoveNode:     "r",
	ConfChangeUpdateNode:     "u",
}

// ConfChangesFromString parses changes in the short notation of tests and tools, such as "v1 l2 r3 u4": make 1 a
// voter and 2 a learner, remove 3, update 4. White space separates; an empty string is no change. The error
// wraps [ErrInvalidConfChange].
func ConfChangesFromString(s string) ([]ConfChangeSingle, error) {
	var changes []ConfChangeSingle
	for _, word := range strings.Fields(s) {
		change, err := parseChange(word)
		if err != nil {
			return nil, err
		}
		changes = append(changes, change)
	}
	return changes, nil
}

func parseChange(word string) (ConfChangeSingle, error) {
	for changeType, letter := range changeLetters {
		digits, ok := strings.CutPrefix(word, letter)
		if !ok {
			continue
		}
		node, err := strconv.ParseUint(digits, 10, 64)
		if err != nil {
			return ConfChangeSingle{}, fmt.Errorf("%w: node ID in %q: %w", ErrInvalidConfChange, word, err)
		}
		return ConfChangeSingle{Type: changeType, NodeID: node}, nil
	}
	return ConfChangeSingle{}, fmt.Errorf("%w: %q does not begin with v, l, r or u", ErrInvalidConfChange, word)
}

// ConfChangesToString returns changes in the notation that [ConfChangesFromString] parses. An unknown type shows as
// its number in brackets, which does not parse; contexts are left out.
func ConfChangesToString(changes []ConfChangeSingle) string {
	words := make([]string, len(changes))
	for i, change := range changes {
		letter, known := changeLetters[change.Type]
		if !known {
			letter = fmt.Sprintf("[%d]", int32(change.Type))
		}
		words[i] = letter + strconv.FormatUint(change.NodeID, 10)
	}
	return strings.Join(words, " ")
}
