package spacetime

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/quorate-raft/raft/rafttest/trace"
)

func isAnswer(e *trace.Event) bool {
	name := e.Type.String()
	return strings.HasSuffix(name, "Resp") || name == "MsgRemoved"
}

// familyOf returns what messages are coloured by, as in page/data.js.
func familyOf(e *trace.Event) string {
	switch name := strings.TrimSuffix(e.Type.String(), "Resp"); name {
	case "MsgApp":
		return "append"
	case "MsgHeartbeat":
		return "heartbeat"
	case "MsgVote", "MsgPreVote", "MsgTimeoutNow":
		return "vote"
	case "MsgSnap":
		return "snapshot"
	default:
		return "other"
	}
}

// messageText returns what a message says, in a few words.
func messageText(e *trace.Event) string {
	answer := map[bool]string{true: "no", false: "yes"}[e.Reject]
	switch name := strings.TrimPrefix(e.Type.String(), "Msg"); name {
	case "App":
		switch e.Entries {
		case 0:
			return fmt.Sprintf("commit %d", e.Commit)
		case 1:
			return fmt.Sprintf("append %d", e.Index+1)
		}
		return fmt.Sprintf("append %d–%d", e.Index+1, e.Index+uint64(e.Entries))
	case "AppResp":
		if e.Reject {
			return fmt.Sprintf("lacks %d", e.Index)
		}
		return fmt.Sprintf("has %d", e.Index)
	case "Vote":
		return fmt.Sprintf("vote, term %d?", e.Term)
	case "PreVote":
		return fmt.Sprintf("pre-vote, term %d?", e.Term)
	case "VoteResp", "PreVoteResp":
		return answer
	case "Heartbeat":
		if e.Commit > 0 {
			return fmt.Sprintf("heartbeat, commit %d", e.Commit)
		}
		return "heartbeat"
	case "HeartbeatResp":
		return "answer"
	case "TimeoutNow":
		return "take over"
	case "Snap":
		return fmt.Sprintf("snapshot %d", e.Index)
	case "Removed":
		return "removed"
	default:
		return name
	}
}

// confText shortens the text of a configuration: "voters=(1 2 4)&&(1 2 3) learners=(5)" to "1 2 4 | 1 2 3 (5)".
func confText(text string) string {
	var parts []string
	for _, field := range splitFields(text) {
		name, value, _ := strings.Cut(field, "=")
		value = strings.NewReplacer(")&&(", " | ", "(", "", ")", "").Replace(value)
		switch name {
		case "voters":
			parts = append(parts, value)
		case "learners", "learners_next":
			parts = append(parts, "("+value+")")
		}
	}
	if len(parts) == 0 {
		return text
	}
	return strings.Join(parts, " ")
}

// targetText says of the text of a configuration which target stands in it, or how the last one ended; "" if there was
// none: "target: 1 2 (3)", "reached", "given up".
func targetText(text string) string {
	target, outcome := "", ""
	for _, field := range splitFields(text) {
		name, value, _ := strings.Cut(field, "=")
		name, _, _ = strings.Cut(name, "@")
		switch {
		case name == "target":
			target = "target: " + strings.Trim(value, "()")
		case name == "target_learners":
			target += " " + value
		case name != "outcome":
		case strings.HasPrefix(value, "MembershipReached"):
			outcome = "reached"
		case strings.HasPrefix(value, "MembershipAborted"):
			outcome = "given up"
		}
	}
	return cmp.Or(target, outcome)
}

// splitFields splits at spaces outside of parentheses.
func splitFields(text string) []string {
	depth := 0
	return strings.FieldsFunc(text, func(c rune) bool {
		switch c {
		case '(':
			depth++
		case ')':
			depth--
		}
		return c == ' ' && depth == 0
	})
}

// noteChars is how many characters a line of a note has.
const noteChars = 46

// wrapped breaks a text into lines.
func wrapped(text string) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case len([]rune(line))+1+len([]rune(word)) > noteChars:
			lines = append(lines, line)
			line = word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}

// textWidth is how wide a text of 11 px is in a wide font.
func textWidth(text string) int { return len([]rune(text)) * 13 / 2 }

// pillWidth is how wide the frame of a configuration is, of digits and spaces.
func pillWidth(text string) int { return len([]rune(text))*11/2 + 14 }
