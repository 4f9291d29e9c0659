package raftpb

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gogo/protobuf/proto"
	"github.com/stretchr/testify/require"
)

// record is what every generated type can do.
type record interface {
	proto.Message
	Marshal() ([]byte, error)
	MarshalTo([]byte) (int, error)
	Unmarshal([]byte) error
	Size() int
}

// blank returns a new zero record of the type of r.
func blank(r record) record {
	return reflect.New(reflect.TypeOf(r).Elem()).Interface().(record)
}

// vector is one block of testdata/vectors.txt.
type vector struct {
	name, message, writer string
	bytes                 []byte
}

func readVectors(t testing.TB) []vector {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.txt")
	require.NoError(t, err)
	var vectors []vector
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "["); ok {
			name = strings.TrimSuffix(name, "]")
			message, writer, ok := strings.Cut(name, "/")
			require.True(t, ok, "vector %q has no writer", name)
			vectors = append(vectors, vector{name: name, message: message, writer: writer, bytes: []byte{}})
			continue
		}
		decoded, err := hex.DecodeString(strings.ReplaceAll(line, " ", ""))
		require.NoError(t, err, "line %q", line)
		if len(decoded) > 0 {
			last := &vectors[len(vectors)-1]
			last.bytes = append(last.bytes, decoded...)
		}
	}
	return vectors
}

// vectorMessages are the messages that the vectors encode.
var vectorMessages = map[string]record{
	"hardstate":        &HardState{Term: 5, Commit: 7},
	"entry-command":    &Entry{Term: 2, Index: 256, Data: []byte("set")},
	"entry-opens-term": &Entry{Term: 9, Index: 10},
	"heartbeat":        &Message{Type: MsgHeartbeat, To: 2, From: 1, Term: 4, Commit: 42},
	"heartbeat-v3.5":   &Message{Type: MsgHeartbeat, To: 2, From: 1, Term: 4, Commit: 42, Snapshot: &Snapshot{}},
	"append": &Message{
		Type: MsgApp, To: 3, From: 1, Term: 2, LogTerm: 1, Index: 10, Commit: 9,
		Entries: []Entry{
			{Term: 2, Index: 11, Data: []byte("x")},
			{Type: EntryConfChange, Term: 2, Index: 12, Data: []byte{0x18, 4}},
		},
	},
	"append-refused": &Message{
		Type: MsgAppResp, To: 1, From: 3, Term: 2, LogTerm: 1, Index: 10, Reject: true, RejectHint: 6,
	},
	"vote-transfer": &Message{
		Type: MsgVote, To: 2, From: 3, Term: 1<<64 - 1, LogTerm: 2, Index: 12, Context: []byte("tr"),
	},
	"snapshot": &Message{
		Type: MsgSnap, To: 4, From: 1, Term: 6,
		Snapshot: &Snapshot{
			Data: []byte("kv"),
			Metadata: SnapshotMetadata{
				Index: 20, Term: 6,
				ConfState: ConfState{
					Voters: []uint64{1, 2}, Learners: []uint64{5},
					VotersOutgoing: []uint64{1}, LearnersNext: []uint64{3}, AutoLeave: true,
				},
			},
		},
	},
	"snapshot-own-fields": &SnapshotMetadata{
		Index: 20, Term: 6,
		ConfState: ConfState{Voters: []uint64{1}, Index: 17, Members: []Member{{ID: 1, Context: []byte("a:1")}}},
	},
	"heartbeat-answer-own-fields": &Message{
		Type: MsgHeartbeatResp, To: 1, From: 2, Term: 4, Round: 300, LeaseTicks: 10, Session: 5,
	},
	"heartbeat-to-sleep": &Message{
		Type: MsgHeartbeat, To: 2, From: 1, Term: 4, LogTerm: 4, Index: 7, Commit: 7, Round: 300, Features: 9, Sleep: true,
	},
	"removed": &Message{Type: MsgRemoved, To: 3, From: 1, Index: 7, Session: 300},
	"refused": &Message{
		Type: MsgPropRefused, To: 3, From: 1, Index: 7, RejectHint: uint64(RefusalConfPending), Context: []byte("no"),
		Entries: []Entry{{Type: EntryConfChangeV2}}, Features: 300,
	},
	"commit-only-append": &Message{
		Type: MsgApp, To: 2, From: 1, Term: 4, LogTerm: 4, Index: 7, Commit: 7, NoAnswer: true,
	},
	"confstate-joint": &ConfState{
		Voters: []uint64{1, 2}, Learners: []uint64{5},
		VotersOutgoing: []uint64{1}, LearnersNext: []uint64{3}, AutoLeave: true, Index: 17,
	},
	"confstate-members":  &ConfState{Voters: []uint64{1}, Members: []Member{{ID: 1, Context: []byte("a:1")}}},
	"confchange-context": &ConfChangeV2{Changes: []ConfChangeSingle{{NodeID: 4, Context: []byte("x")}}},
	"confstate-target": &ConfState{
		Voters: []uint64{1}, ConfChangeEffect: ConfChangeOnAppend,
		Target: &MembershipTarget{
			Version: 8, Voters: []uint64{1, 2}, Learners: []uint64{300}, Members: []Member{{ID: 2, Context: []byte("b:2")}},
			Added: []uint64{300},
		},
		LastOutcome: &MembershipOutcome{Version: 5, Result: MembershipAborted, Reason: MembershipTooSlow, Node: 4, Index: 7},
	},
	"snapshot-target": &SnapshotMetadata{
		Index: 20, Term: 6,
		ConfState: ConfState{
			Voters: []uint64{1}, ConfChangeEffect: ConfChangeOnAppend, Target: &MembershipTarget{Version: 8, Voters: []uint64{2}},
			LastOutcome: &MembershipOutcome{Version: 5, Result: MembershipReached, Index: 7},
		},
	},
	"confchange-set-target": &ConfChangeV2{
		Changes: []ConfChangeSingle{{}},
		Membership: &MembershipChange{
			Target: &MembershipTarget{Voters: []uint64{1, 2}, Force: true}, Expected: 3, HasExpected: true,
		},
	},
	"confchange-outcome": &ConfChangeV2{
		Changes:    []ConfChangeSingle{{}},
		Membership: &MembershipChange{Outcome: &MembershipOutcome{Version: 8, Result: MembershipReached}},
	},
	"confchange-step": &ConfChangeV2{
		Changes:    []ConfChangeSingle{{Type: ConfChangeAddLearnerNode, NodeID: 4}},
		Membership: &MembershipChange{Version: 8},
	},
	"confstate":          &ConfState{Voters: []uint64{1, 300}},
	"confstate-packed":   &ConfState{Voters: []uint64{1, 300}},
	"confchange-learner": &ConfChange{ID: 7, Type: ConfChangeAddLearnerNode, NodeID: 4, Context: []byte("a")},
	"confchange-add":     &ConfChange{NodeID: 4},
	"confchange-v2": &ConfChangeV2{
		Transition: ConfChangeTransitionJointExplicit,
		Changes: []ConfChangeSingle{
			{Type: ConfChangeAddNode, NodeID: 4},
			{Type: ConfChangeRemoveNode, NodeID: 1},
		},
		Context: []byte("b"),
	},
	"leave-joint": &ConfChangeV2{},
}

// Our bytes, and those of an etcd peer, must mean the same as the bytes written by hand: a cluster may be mixed, and
// a log may have been written by either.
func TestVectors(t *testing.T) {
	used := map[string]bool{}
	for _, v := range readVectors(t) {
		t.Run(v.name, func(t *testing.T) {
			want := vectorMessages[v.message]
			require.NotNil(t, want, "no message named %q", v.message)
			used[v.message] = true

			got := blank(want)
			require.NoError(t, got.Unmarshal(v.bytes))
			require.Equal(t, want, got)

			if v.writer == "quorate" {
				encoded, err := want.Marshal()
				require.NoError(t, err)
				require.Equal(t, hex.EncodeToString(v.bytes), hex.EncodeToString(encoded))
			}
		})
	}
	for name := range vectorMessages {
		require.True(t, used[name], "no vector for message %q", name)
	}
}

// Each field number is part of the format: a changed one makes every stored log and every peer unreadable.
func TestFieldNumbers(t *testing.T) {
	want := map[record]string{
		&Entry{}:            "1 Type, 2 Term, 3 Index, 4 Data",
		&SnapshotMetadata{}: "1 ConfState, 2 Index, 3 Term",
		&SnapshotConf{}:     "1 SnapshotIndex, 2 Index, 3 Members, 4 ConfChangeEffect, 5 Target, 6 LastOutcome",
		&Snapshot{}:         "1 Data, 2 Metadata",
		&Message{}: "1 Type, 2 To, 3 From, 4 Term, 5 LogTerm, 6 Index, 7 Entries, 8 Commit, 9 Snapshot, " +
			"10 Reject, 11 RejectHint, 12 Context, 13 Vote, 100 NoAnswer, 101 Round, 102 LeaseTicks, 103 Session, 104 Features, " +
			"105 Sleep",
		&HardState{}: "1 Term, 2 Vote, 3 Commit",
		&ConfState{}: "1 Voters, 2 Learners, 3 VotersOutgoing, 4 LearnersNext, 5 AutoLeave, 100 Index, 101 Members, " +
			"102 ConfChangeEffect, 103 Target, 104 LastOutcome",
		&Member{}:            "1 ID, 2 Context",
		&ConfChange{}:        "1 ID, 2 Type, 3 NodeID, 4 Context",
		&ConfChangeSingle{}:  "1 Type, 2 NodeID, 100 Context",
		&ConfChangeV2{}:      "1 Transition, 2 Changes, 3 Context, 100 Membership",
		&MembershipTarget{}:  "1 Version, 2 Voters, 3 Learners, 4 Members, 5 Added, 6 Force",
		&MembershipOutcome{}: "1 Version, 2 Result, 3 Reason, 4 Node, 5 Index",
		&MembershipChange{}:  "1 Target, 2 Outcome, 3 Version, 4 Expected, 5 HasExpected",
	}
	for r, fields := range want {
		var got []string
		structType := reflect.TypeOf(r).Elem()
		for field := range structType.Fields() {
			number := strings.Split(field.Tag.Get("protobuf"), ",")[1]
			got = append(got, number+" "+field.Name)
		}
		require.Equal(t, fields, strings.Join(got, ", "), "%s", structType)
	}
}

// Enum values are part of the format as much as field numbers are.
func TestEnumValues(t *testing.T) {
	for _, enum := range []struct {
		names  map[int32]string
		values string
		own    map[int32]string // from 100 on
	}{
		{EntryType_name, "EntryNormal EntryConfChange EntryConfChangeV2", nil},
		{MessageType_name, "MsgHup MsgBeat MsgProp MsgApp MsgAppResp MsgVote MsgVoteResp MsgSnap MsgHeartbeat " +
			"MsgHeartbeatResp MsgUnreachable MsgSnapStatus MsgCheckQuorum MsgTransferLeader MsgTimeoutNow " +
			"MsgReadIndex MsgReadIndexResp MsgPreVote MsgPreVoteResp MsgStorageAppend MsgStorageAppendResp " +
			"MsgStorageApply MsgStorageApplyResp MsgForgetLeader", map[int32]string{100: "MsgRemoved", 101: "MsgPropRefused"}},
		{ConfChangeTransition_name, "ConfChangeTransitionAuto ConfChangeTransitionJointImplicit " +
			"ConfChangeTransitionJointExplicit", nil},
		{ConfChangeType_name, "ConfChangeAddNode ConfChangeRemoveNode ConfChangeUpdateNode ConfChangeAddLearnerNode", nil},
		{ConfChangeEffect_name, "ConfChangeOnApply ConfChangeOnAppend", nil},
		{MembershipResult_name, "MembershipPending MembershipReached MembershipAborted MembershipSuperseded", nil},
		{MembershipReason_name, "MembershipReasonNone MembershipCancelled MembershipTooSlow MembershipNoAnswer " +
			"MembershipRefused MembershipImpossible MembershipNoQuorum", nil},
		{ProposalRefusal_name, "RefusalUnknown RefusalNoLeader RefusalTransferring RefusalLeaving RefusalUncommittedFull " +
			"RefusalForwardingDisabled RefusalEmpty RefusalIndexExhausted RefusalCorrupt", map[int32]string{
			20: "RefusalConfPending", 21: "RefusalConfTooEarly", 22: "RefusalConfMultiple", 23: "RefusalAlreadyJoint",
			24: "RefusalNotJoint", 25: "RefusalNoVoters", 26: "RefusalNotSimple", 27: "RefusalInvalidNode",
			28: "RefusalUnknownNode", 29: "RefusalDuplicateNode", 30: "RefusalUnknownChange", 31: "RefusalNoChange",
			32: "RefusalTargetStands", 33: "RefusalStaleStep", 34: "RefusalLeadersOwn", 35: "RefusalInvalidTarget",
			36: "RefusalUnexpectedVersion", 37: "RefusalUnsupported", 38: "RefusalWouldLoseQuorum", 39: "RefusalInvalidChange",
		}},
	} {
		values := strings.Fields(enum.values)
		require.Len(t, enum.names, len(values)+len(enum.own))
		for number, name := range values {
			require.Equal(t, name, enum.names[int32(number)])
		}
		for number, name := range enum.own {
			require.Equal(t, name, enum.names[number])
		}
	}
}

func TestStrings(t *testing.T) {
	require.Equal(t, "MsgForgetLeader", MsgForgetLeader.String())
	require.Equal(t, "EntryConfChangeV2", EntryConfChangeV2.String())
	require.Equal(t, "99", MessageType(99).String())
	m := Message{Type: MsgApp, To: 2, NoAnswer: true, Entries: []Entry{{Index: 3, Data: []byte("x")}}}
	require.Equal(t, `type:MsgApp to:2 entries:<Index:3 Data:"x" > no_answer:true `, m.String())
}

// A program may link etcd's raftpb too, whose messages are registered as raftpb.*: two registrations under one name
// stop such a program when it starts.
func TestRegisteredNames(t *testing.T) {
	require.Equal(t, reflect.TypeFor[*Message](), proto.MessageType("quorate.raftpb.Message"))
	require.Nil(t, proto.MessageType("raftpb.Message"))
	require.NotEmpty(t, proto.FileDescriptor("quorate/raftpb/raft.proto"))
	require.Empty(t, proto.FileDescriptor("raft.proto"))
}

// Messages nested in messages must cost a reader no stack, however deep a hostile peer makes them: field 14, in which
// etcd nests them, is skipped by its length; groups, which nobody sends, are skipped without recursion.
func TestNestingCostsNoStack(t *testing.T) {
	const depth = 100_000
	nested := []byte{0x08, 0x03}
	for range 200 {
		nested = append(appendLength([]byte{0x72}, len(nested)), nested...)
	}
	groups := append(bytes.Repeat([]byte{0x73}, depth), bytes.Repeat([]byte{0x74}, depth)...)
	for name, tail := range map[string][]byte{"responses": nested, "groups": groups} {
		t.Run(name, func(t *testing.T) {
			var m Message
			require.NoError(t, m.Unmarshal(slices.Concat([]byte{0x10, 7}, tail)))
			require.Equal(t, Message{To: 7}, m)
		})
	}
}

func appendLength(b []byte, n int) []byte {
	for n >= 0x80 {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return append(b, byte(n))
}

func TestMalformedBytesAreAnError(t *testing.T) {
	for name, hexBytes := range map[string]string{
		"truncated varint":             "08",
		"varint of more than 64 bits":  "10ffffffffffffffffffff01",
		"entry longer than its bytes":  "3a0510",
		"negative length":              "62ffffffffffffffffff01",
		"wire type that is not one":    "0f",
		"field number zero":            "0000",
		"scalar in the place of bytes": "6001",
		"end of a group never begun":   "74",
		"group never ended":            "73",
	} {
		t.Run(name, func(t *testing.T) {
			encoded, err := hex.DecodeString(hexBytes)
			require.NoError(t, err)
			require.Error(t, new(Message).Unmarshal(encoded))
		})
	}
}

// No field of any message is read from another wire type, from bytes that end within it, or from a number of more than ten
// bytes: what is damaged must not pass for something else.
func TestMalformedFieldsAreAnError(t *testing.T) {
	long := append(bytes.Repeat([]byte{0x80}, 10), 1)
	values := map[byte][]byte{0: {0}, 1: make([]byte, 8), 2: {0}, 3: nil, 4: nil, 5: make([]byte, 4), 6: nil, 7: nil}
	for _, r := range []record{
		&Entry{}, &SnapshotMetadata{}, &SnapshotConf{}, &Snapshot{}, &Message{}, &HardState{}, &ConfState{}, &Member{},
		&ConfChange{}, &ConfChangeSingle{}, &ConfChangeV2{},
	} {
		for field := range reflect.TypeOf(r).Elem().Fields() {
			kind, rest, _ := strings.Cut(field.Tag.Get("protobuf"), ",")
			number, _, _ := strings.Cut(rest, ",")
			n, err := strconv.Atoi(number)
			require.NoError(t, err)
			right := map[string]byte{"varint": 0, "bytes": 2}[kind]
			packed := field.Type == reflect.TypeFor[[]uint64]()
			name := fmt.Sprintf("%T.%s", r, field.Name)
			tag := func(kind byte) []byte { return appendLength(nil, n<<3|int(kind)) }
			require.NoError(t, blank(r).Unmarshal(append(tag(right), values[right]...)), name)
			for _, value := range [][]byte{long, {0x80}, {}} {
				require.Error(t, blank(r).Unmarshal(append(tag(right), value...)), "%s: %x", name, value)
			}
			// Lengths beyond the end and below zero, and numbers that do not end.
			for _, value := range [][]byte{long, {0x80}, {}, {1}, {0x7f}, {2, 0x80}, append(bytes.Repeat([]byte{0xff}, 9), 1)} {
				if right == 2 || packed {
					require.Error(t, blank(r).Unmarshal(append(tag(2), value...)), "%s: %x", name, value)
				}
			}
			for kind, value := range values {
				encoded := append(tag(kind), value...)
				if kind == 3 {
					encoded = append(encoded, tag(4)...)
				}
				takes := kind == right || kind == 2 && packed
				require.Equal(t, takes, blank(r).Unmarshal(encoded) == nil, "%s: wire type %d", name, kind)
			}
		}
	}
}

// What is decoded must not change when the buffer that it came from is used again.
func TestDecodedBytesAreCopies(t *testing.T) {
	m := Message{Context: []byte("aaaa"), Entries: []Entry{{Data: []byte("bbbb")}}, Snapshot: &Snapshot{Data: []byte("cccc")}}
	encoded, err := m.Marshal()
	require.NoError(t, err)
	var got Message
	require.NoError(t, got.Unmarshal(encoded))
	clear(encoded)
	require.Equal(t, m, got)
}
