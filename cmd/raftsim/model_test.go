package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest/explore"
)

func explorer(args string) (*exploreFlags, string) {
	var errs bytes.Buffer
	f, _ := parseExplore(strings.Fields(args), &errs)
	return f, errs.String()
}

// What flags say is what is explored, and the flags that repeat it say the same.
func TestOwnModel(t *testing.T) {
	f, _ := explorer("-members 4 -spares 1 -terms 2 -entries 5 -messages 6 -proposals 1 -crashes 2 -duplicates 1 -beats 3 " +
		"-compactions 1 -changes add4,learner3+update2,remove1+add4:stay,leave -effect append -no-prevote -no-checkquorum -apply-at-once")
	single := func(what pb.ConfChangeType, id uint64) pb.ConfChangeSingle {
		return pb.ConfChangeSingle{Type: what, NodeID: id}
	}
	add, remove := single(pb.ConfChangeAddNode, 4), single(pb.ConfChangeRemoveNode, 1)
	require.Equal(t, []explore.Part{{Name: "own", Bounds: explore.Bounds{
		Members: 4, Spares: 1, Terms: 2, Entries: 5, Messages: 6, Proposals: 1, Crashes: 2, Duplicates: 1, Beats: 3, Compactions: 1,
		Changes: []pb.ConfChangeV2{
			{Changes: []pb.ConfChangeSingle{add}},
			{Changes: []pb.ConfChangeSingle{single(pb.ConfChangeAddLearnerNode, 3), single(pb.ConfChangeUpdateNode, 2)}},
			{Changes: []pb.ConfChangeSingle{remove, add}, Transition: pb.ConfChangeTransitionJointExplicit},
			{},
		},
		Effect: raft.OnAppend, NoPreVote: true, NoCheckQuorum: true, ApplyAtOnce: true,
	}}}, f.parts)
	again, _ := explorer(f.modelArgs(f.parts[0]))
	require.Equal(t, f.parts, again.parts)

	f, _ = explorer("-changes add2:joint")
	require.Equal(t, pb.ConfChangeTransitionJointImplicit, f.parts[0].Bounds.Changes[0].Transition)
	f, _ = explorer("-renamed -terms 2")
	require.Equal(t, explore.Bounds{Members: 3, Terms: 2, Messages: 3, Renamed: true}, f.parts[0].Bounds)
	f, _ = explorer("-model two")
	require.Equal(t, "-model two", f.modelArgs(f.parts[0]))
	require.NotEqual(t, ownModel, f.parts[0].Name)
}

// A model that cannot be ends with status 2 and a line that names the flag or the value.
func TestWrongModels(t *testing.T) {
	for _, c := range []struct{ args, says string }{
		{"-members 9", "members (9)"},
		{"-members 2 -spares 2", "no voters"},
		{"-spares -1", "spares (-1)"},
		{"-messages 0", "messages (0)"},
		{"-terms 0", "terms (0)"},
		{"-crashes 256", "crashes (256)"},
		{"-beats -1", "beats (-1)"},
		{"-depth -1", "-depth"},
		{"-effect later", `"later"`},
		{"-changes add", `"add"`},
		{"-changes add4,", `""`},
		{"-changes add44", `"add44"`},
		{"-changes sub4", `"sub4"`},
		{"-changes add4:sit", `"add4:sit"`},
		{"-changes add1,add1,add1,add1,add1,add1,add1,add1,add1", "9 of them"},
		{"-renamed -spares 1", "renamed"},
		{"-ticks 5 -no-checkquorum", "quorum checks"},
		{"-model crash -members 2", "-model"},
		{"-terms 2 -tier change", "-tier"},
	} {
		f, errs := explorer(c.args)
		require.Nil(t, f, c.args)
		require.Contains(t, errs, c.says, c.args)
		require.Equal(t, 1, strings.Count(errs, "\n"), errs)
	}
}

// A small model is explored to its end.
func TestExploreOwnModel(t *testing.T) {
	var out, errs bytes.Buffer
	require.Zero(t, command(t.Context(), strings.Fields("explore -quiet -members 1 -terms 2 -proposals 1"), &out, &errs), errs.String())
	require.Regexp(t, `^own: states=\d+ transitions=\d+ depth=\d+ `, out.String())

	out.Reset()
	require.Zero(t, command(t.Context(), strings.Fields("explore -quiet -members 2 -crashes 1 -depth 3"), &out, &errs), errs.String())
	require.Contains(t, out.String(), " depth=3 ")
}

// Who needs more memory is told which flags give it.
func TestExploreNeedsMemory(t *testing.T) {
	var out, errs bytes.Buffer
	require.Equal(t, 2, command(t.Context(), strings.Fields("explore -quiet -members 3 -terms 2 -memory 20"), &out, &errs))
	require.Contains(t, errs.String(), "needs more memory")
	require.Contains(t, errs.String(), "-memory gives it more")
}
