package spacetime

import (
	"bufio"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/quorate-raft/raft/rafttest/trace"
)

// maxExact is the greatest integer up to which JavaScript's numbers are exact.
const maxExact = 1<<53 - 1

// names are what numbers stand for, as far as they occur.
type names struct {
	kinds, types, roles map[int]string
	texts               []string
	textNumbers         map[string]int
}

// writeEvents writes the events as one JSON object. "events" is a flat array
// with a line for each event: step and time as differences to the event before,
// kind, node, a mask, and the fields that the mask has a bit for: those that are not zero. Numbers
// that JavaScript cannot hold are strings. Kinds, types, roles and texts are numbers; the tables
// follow. decode in page/data.js is the inverse.
func writeEvents(out *bufio.Writer, events []trace.Event) {
	n := names{
		kinds: map[int]string{}, types: map[int]string{}, roles: map[int]string{},
		texts: []string{""}, textNumbers: map[string]int{"": 0},
	}
	_, _ = out.WriteString("{\"events\":[")
	var step uint64
	var at int64
	line := make([]byte, 0, 256)
	for i := range events {
		e := &events[i]
		line = line[:0]
		if i > 0 {
			line = append(line, ',')
		}
		line = append(line, '\n')
		line = append(appendNumber(line, e.Step-step), ',')
		line = append(strconv.AppendInt(line, e.At-at, 10), ',')
		line = n.appendEvent(line, e)
		_, _ = out.Write(line)
		step, at = e.Step, e.At
	}
	fmt.Fprintf(out, "],\n\"kinds\":%s,\n\"types\":%s,\n\"roles\":%s,\n\"texts\":%s}",
		jsonOf(n.kinds), jsonOf(n.types), jsonOf(n.roles), jsonOf(n.texts))
}

// appendEvent appends all of the event but when it was.
func (n *names) appendEvent(line []byte, e *trace.Event) []byte {
	n.kinds[int(e.Kind)] = e.Kind.String()
	if e.Kind <= trace.Drop {
		n.types[int(e.Type)] = e.Type.String()
	}
	if e.Kind == trace.Role {
		n.roles[int(e.Role)] = strings.TrimPrefix(e.Role.String(), "State")
	}
	values := [...]uint64{ // in the order of their bits
		e.Peer, e.Msg, uint64(uint32(e.Type)), e.Term, e.Index, e.LogTerm, e.Commit, uint64(e.Entries), bit(e.Reject),
		uint64(e.Role), e.Lead, uint64(n.text(e.Text)),
	}
	mask := 0
	for i, v := range values {
		if v != 0 {
			mask |= 1 << i
		}
	}
	line = append(strconv.AppendUint(line, uint64(e.Kind), 10), ',')
	line = append(appendNumber(line, e.Node), ',')
	line = strconv.AppendInt(line, int64(mask), 10)
	for _, v := range values {
		if v != 0 {
			line = appendNumber(append(line, ','), v)
		}
	}
	return line
}

// text returns the number of a text. Many events have the same.
func (n *names) text(s string) int {
	number, known := n.textNumbers[s]
	if !known {
		number = len(n.texts)
		n.texts = append(n.texts, s)
		n.textNumbers[s] = number
	}
	return number
}

func appendNumber(line []byte, v uint64) []byte {
	if v <= maxExact {
		return strconv.AppendUint(line, v, 10)
	}
	return append(strconv.AppendUint(append(line, '"'), v, 10), '"')
}

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// jsonOf returns the JSON of strings and tables of them. encoding/json escapes
// <, > and &, so no text can end the script element that it is in, and orders tables by key.
func jsonOf(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("spacetime: %v", err))
	}
	return b
}
