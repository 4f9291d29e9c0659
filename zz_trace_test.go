package raft

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

func TestZZTrace(t *testing.T) {
	raw, err := os.ReadFile(os.Getenv("TRACE"))
	if err != nil {
		t.Skip()
	}
	s := strings.TrimSpace(strings.SplitN(string(raw), "\n", 2)[1])
	s = strings.TrimSuffix(strings.TrimPrefix(s, "[]byte("), ")")
	u, err := strconv.Unquote(s)
	if err != nil {
		t.Fatal(err)
	}
	f := newFuzzRun(t, []byte(u))
	names := []string{"Tick", "Propose", "Conf", "Ready", "Persist", "Ack", "Apply", "Settle", "Agree", "Step", "Append", "Snapshot", "Compact", "Restart", "Transfer", "Read", "Report", "Campaign", "Token", "Joint", "Heartbeat", "Forget"}
	n := 0
	for len(f.data) > 0 {
		before := f.data
		fmt.Print(n, " ", names[before[0]%opCount])
		f.step()
		n++
		l := f.h.rn.raft.log
		fmt.Printf(" %v: term %d vote %d role %v lead %d | applied %d applying %d committed %d durable %d submitted %d last %v off %d snap %v restoring %d writes %d handed %d written %d outP %v outM %v conf %v@%d\n", before[1:len(before)-len(f.data)], f.h.rn.raft.term, f.h.rn.raft.vote, f.h.rn.raft.role, f.h.rn.raft.lead, l.applied, l.applying, l.committed, l.durable, l.submitted, l.last, l.offset, l.snapshot != nil, l.restoring, len(l.writes), len(f.h.handed), f.h.written, f.h.rn.raft.out.promises, len(f.h.rn.raft.out.msgs), f.h.rn.raft.conf.cfg, f.h.rn.raft.conf.index)
		f.check()
	}
	fmt.Println("settle")
	f.h.settle()
	f.check()
}
