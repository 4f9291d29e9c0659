package wire

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/gogo/protobuf/proto"
	"github.com/stretchr/testify/require"

	pb "github.com/quorate-raft/raft/raftpb"
)

const (
	// goldenSeed is the seed of every golden file.
	goldenSeed = 1
	// goldenRecords is how many of each message but Message a file has, goldenOwn how many of each with fields of ours.
	goldenRecords = 12
	goldenOwn     = 8
)

const goldenHeader = `# Records as %[1]s writes them, for raftpb's tests, which need no peer. The module in interop that depends on
# this peer made the file, and its tests check that it is current:
#
#	go run ./golden
#
# A block is the name of a message, then "value", what the record is, in protobuf's text format; "peer", the bytes
# that the peer wrote; "ours", the bytes in which we write the same; "other", other bytes that mean the same to both:
# fields in another order, packed, in pieces, twice, with unknown ones between. Message.responses, which we skip, is in some
# bytes of the peer and in no value. Blocks without "peer" have fields that only we have.
`

// Golden returns the golden file of a peer, the same each time.
func Golden(p Peer) ([]byte, error) {
	g, others := NewGenerator(goldenSeed), NewGenerator(goldenSeed+1)
	for _, g := range []*Generator{g, others} {
		g.large, g.many, g.deep = 6, 2, 2
	}
	var file bytes.Buffer
	fmt.Fprintf(&file, goldenHeader, p.Name())
	for _, empty := range ours {
		if _, ok := empty.(*pb.Message); ok {
			continue
		}
		for range goldenRecords {
			if err := g.golden(others, &file, p, empty, nil); err != nil {
				return nil, err
			}
		}
	}
	types := []int32{int32(len(pb.MessageType_name)), math.MaxInt32, -1}
	for messageType := range pb.MessageType_name {
		types = append(types, messageType)
	}
	slices.Sort(types)
	for _, messageType := range types {
		for range 2 {
			if err := g.golden(others, &file, p, &pb.Message{}, &messageType); err != nil {
				return nil, err
			}
		}
	}
	for _, empty := range ours {
		for range goldenOwn {
			r := blank(empty)
			others.Fill(r)
			if err := others.block(&file, p, r, nil); err != nil {
				return nil, fmt.Errorf("%s: %w", nameOf(empty), err)
			}
		}
	}
	return file.Bytes(), nil
}

// golden writes the block of one random record of the peer's, its other encoding from others; a message gets the type, if
// there is one.
func (g *Generator) golden(others *Generator, file *bytes.Buffer, p Peer, empty Record, messageType *int32) error {
	theirs := p.New(nameOf(empty))
	g.Fill(theirs)
	if messageType != nil {
		setType(theirs, *messageType)
	}
	encoded, err := p.Marshal(theirs)
	if err != nil {
		return fmt.Errorf("%s: %w", nameOf(empty), err)
	}
	r := blank(empty)
	if err := r.Unmarshal(encoded); err != nil {
		return fmt.Errorf("%s: %w", nameOf(empty), err)
	}
	if found := Differ(theirs, r); found != "" {
		return fmt.Errorf("%s is not what the peer wrote: %s", nameOf(empty), found)
	}
	if err := others.block(file, p, r, encoded); err != nil {
		return fmt.Errorf("%s: %w", nameOf(empty), err)
	}
	return nil
}

// block writes the block of a record, of which the peer may have written bytes.
func (g *Generator) block(file *bytes.Buffer, p Peer, r Record, encoded []byte) error {
	own, err := r.Marshal()
	if err != nil {
		return err
	}
	text := strings.TrimSpace(proto.CompactTextString(r))
	fmt.Fprintf(file, "\n[%s]\nvalue %s\n", nameOf(r), text)
	other := own
	if encoded != nil {
		fmt.Fprintf(file, "peer %x\n", encoded)
		other = encoded
	}
	other = g.rewrite(r, other)
	for _, b := range [][]byte{own, other} {
		theirs := p.New(nameOf(r))
		if err := p.Unmarshal(b, theirs); err != nil {
			return fmt.Errorf("the peer refuses %x: %w", b, err)
		}
		if found := Differ(r, theirs); found != "" {
			return fmt.Errorf("the peer reads %x otherwise: %s", b, found)
		}
	}
	fmt.Fprintf(file, "ours %x\nother %x\n", own, other)
	return nil
}

// TestGolden checks that the golden file at path is the one that the peer makes today.
func TestGolden(t *testing.T, p Peer, path string) {
	want, err := Golden(p)
	require.NoError(t, err)
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got), "make it again: go run ./golden")
}
