package bugs

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// parse reads the bug file of that name.
func parse(name, text string) (Bug, error) {
	b := Bug{Name: strings.TrimSuffix(name, ".bug")}
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	start := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, "--- ") })
	if start < 0 {
		return Bug{}, fmt.Errorf("bugs: %s: no edits", name)
	}
	if err := b.parseHeader(lines[:start]); err != nil {
		return Bug{}, fmt.Errorf("bugs: %s: %w", name, err)
	}
	if err := b.parseEdits(lines[start:]); err != nil {
		return Bug{}, fmt.Errorf("bugs: %s: %w", name, err)
	}
	if err := b.check(); err != nil {
		return Bug{}, fmt.Errorf("bugs: %s: %w", name, err)
	}
	return b, nil
}

func (b *Bug) parseHeader(lines []string) error {
	values := map[string]string{}
	key := ""
	for _, line := range lines {
		switch {
		case strings.TrimSpace(line) == "":
		case line[0] == ' ' || line[0] == '\t':
			if key == "" {
				return fmt.Errorf("%q continues nothing", line)
			}
			values[key] += " " + strings.TrimSpace(line)
		default:
			k, value, found := strings.Cut(line, ":")
			if _, twice := values[k]; !found || twice {
				return fmt.Errorf("%q is no 'key: value', or a repeated one", line)
			}
			key, values[k] = k, strings.TrimSpace(value)
		}
	}
	for _, field := range []struct {
		key string
		set func(value string) error
	}{
		{"number", func(v string) (err error) { b.Number, err = strconv.Atoi(v); return err }},
		{"title", func(v string) error { b.Title = v; return nil }},
		{"rule", func(v string) error { b.Rule = v; return nil }},
		{"safety", b.setSafety},
		{"invariants", func(v string) error { b.Invariants = strings.Fields(v); return nil }},
		{"nodes", func(v string) (err error) { b.Nodes, err = strconv.Atoi(v); return err }},
		{"needs", b.setNeeds},
		{"chance", func(v string) error { b.Chance = Chance(v); return nil }},
		{"shows", func(v string) error { b.Shows = v; return nil }},
	} {
		value := values[field.key]
		if value == "" {
			return fmt.Errorf("no %s", field.key)
		}
		if err := field.set(value); err != nil {
			return fmt.Errorf("%s: %w", field.key, err)
		}
		delete(values, field.key)
	}
	if unknown := slices.Sorted(maps.Keys(values)); len(unknown) > 0 {
		return fmt.Errorf("unknown keys %q", unknown)
	}
	return nil
}

func (b *Bug) setSafety(v string) error {
	if v != "yes" && v != "no" {
		return fmt.Errorf("%q is neither yes nor no", v)
	}
	b.Safety = v == "yes"
	return nil
}

func (b *Bug) setNeeds(v string) error {
	for _, word := range strings.Fields(v) {
		if !slices.Contains(allNeeds, Need(word)) {
			return fmt.Errorf("unknown need %q", word)
		}
		b.Needs = append(b.Needs, Need(word))
	}
	return nil
}

// parseEdits reads what follows the header: "--- file", then hunks that begin
// with "@@", of lines marked by ' ', '-' or '+'. An empty line is one of context.
func (b *Bug) parseEdits(lines []string) error {
	file := ""
	var edit *Edit
	for _, line := range lines {
		switch {
		case strings.HasPrefix(line, "--- "):
			file, edit = strings.TrimPrefix(line, "--- "), nil
		case line == "@@":
			b.Edits = append(b.Edits, Edit{File: file})
			edit = &b.Edits[len(b.Edits)-1]
		case edit == nil:
			return fmt.Errorf("%q outside of an edit", line)
		case line == "":
			edit.Old += "\n"
			edit.New += "\n"
		case line[0] == ' ':
			edit.Old += line[1:] + "\n"
			edit.New += line[1:] + "\n"
		case line[0] == '-':
			edit.Old += line[1:] + "\n"
		case line[0] == '+':
			edit.New += line[1:] + "\n"
		default:
			return fmt.Errorf("%q has no mark", line)
		}
	}
	return nil
}

func (b *Bug) check() error {
	switch {
	case b.Number < 1 || !strings.HasPrefix(b.Name, fmt.Sprintf("%02d-", b.Number)):
		return fmt.Errorf("the name does not begin with the number %d", b.Number)
	case b.Nodes < 1:
		return fmt.Errorf("nodes: %d", b.Nodes)
	case b.Chance != Often && b.Chance != Seldom && b.Chance != Steered:
		return fmt.Errorf("unknown chance %q", b.Chance)
	case len(b.Edits) == 0:
		return fmt.Errorf("no edits")
	}
	for i, name := range b.Invariants {
		if !isInvariant(name) || slices.Contains(b.Invariants[:i], name) {
			return fmt.Errorf("unknown or repeated invariant %q", name)
		}
	}
	for _, e := range b.Edits {
		switch {
		case !fs.ValidPath(e.File) || !strings.HasSuffix(e.File, ".go"):
			return fmt.Errorf("%q is no Go file of the module", e.File)
		case strings.Trim(e.Old, "\n") == "":
			return fmt.Errorf("an edit of %s replaces nothing", e.File)
		case e.Old == e.New:
			return fmt.Errorf("an edit of %s changes nothing", e.File)
		}
	}
	return nil
}

// isInvariant reports whether name is one of S1 to S21, S11a, S11b, S11c or liveness.
func isInvariant(name string) bool {
	if name == "liveness" || name == "S11a" || name == "S11b" || name == "S11c" {
		return true
	}
	n, err := strconv.Atoi(strings.TrimPrefix(name, "S"))
	return err == nil && n >= 1 && n <= 21 && name == fmt.Sprintf("S%d", n)
}
