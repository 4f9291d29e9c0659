package mixed

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	ours "github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/rafttest/sim"
	"github.com/quorate-raft/raft/rafttest/trace"
)

func TestDbg(t *testing.T) {
	s, _ := strconv.Atoi(os.Getenv("SEED"))
	o := Options(uint64(s))
	var lines []string
	f := o.NewForeign
	o.NewForeign = func(c *ours.Config) (sim.Foreign, error) {
		n, err := f(c)
		k := "ours"
		if n != nil {
			k = fmt.Sprint("theirs async ", n.(*node).async)
		}
		lines = append(lines, fmt.Sprintf("---- node %d is %s", c.ID, k))
		return n, err
	}
	o.Observer = func(e *trace.Event) { lines = append(lines, fmt.Sprintf("%+v", *e)) }
	r := sim.Run(o)
	n, _ := strconv.Atoi(os.Getenv("LAST"))
	for _, l := range lines {
		if len(l) > 4 && l[:4] == "----" {
			fmt.Println(l)
		}
	}
	for _, l := range lines[max(0, len(lines)-n):] {
		fmt.Println(l)
	}
	fmt.Println(r.Violation)
}
