package bugs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// ErrMoved says that the text which an edit replaces is not in its file, or more
// than once: the code has changed and the bug has to follow it.
var ErrMoved = errors.New("the code has moved")

// File is a file of the module with the bug in it.
type File struct {
	// Name is relative to the module's root, with slashes.
	Name    string
	Content []byte
}

// Apply returns the files that the bug changes, by name. module holds the module's
// sources. The error matches ErrMoved where an edit does not find its place.
func (b Bug) Apply(module fs.FS) ([]File, error) {
	byFile := map[string][]Edit{}
	var names []string
	for _, e := range b.Edits {
		if byFile[e.File] == nil {
			names = append(names, e.File)
		}
		byFile[e.File] = append(byFile[e.File], e)
	}
	slices.Sort(names)
	patched := make([]File, 0, len(names))
	for _, name := range names {
		source, err := fs.ReadFile(module, name)
		if err != nil {
			return nil, fmt.Errorf("bug %s: %w", b.Name, err)
		}
		content, err := replace(string(source), byFile[name])
		if err != nil {
			return nil, fmt.Errorf("bug %s: %s: %w", b.Name, name, err)
		}
		patched = append(patched, File{Name: name, Content: []byte(content)})
	}
	return patched, nil
}

// replace makes all edits, each found in source itself.
func replace(source string, edits []Edit) (string, error) {
	type place struct {
		at   int
		edit Edit
	}
	var places []place
	lines := "\n" + source // an edit begins and ends with a line
	for _, e := range edits {
		switch n := count(lines, "\n"+e.Old); n {
		case 1:
			places = append(places, place{strings.Index(lines, "\n"+e.Old), e})
		default:
			return "", fmt.Errorf("%w: %d places have\n%s", ErrMoved, n, e.Old)
		}
	}
	slices.SortFunc(places, func(a, b place) int { return a.at - b.at })
	var out strings.Builder
	end := 0
	for _, p := range places {
		if p.at < end {
			return "", fmt.Errorf("%w: edits overlap at\n%s", ErrMoved, p.edit.Old)
		}
		out.WriteString(source[end:p.at])
		out.WriteString(p.edit.New)
		end = p.at + len(p.edit.Old)
	}
	out.WriteString(source[end:])
	return out.String(), nil
}

// count returns how many times part is in s, overlapping ones too.
func count(s, part string) int {
	n := 0
	for {
		i := strings.Index(s, part)
		if i < 0 {
			return n
		}
		n++
		s = s[i+1:]
	}
}

// Overlay writes the files that the bug changes below dir, and beside them the
// file that `go build -overlay` takes, of which it returns the name. moduleRoot is
// the directory of the module's go.mod. What an earlier call left in dir is
// overwritten, so give each bug a directory of its own.
func Overlay(dir string, b Bug, moduleRoot string) (overlayJSON string, err error) {
	patched, err := b.Apply(os.DirFS(moduleRoot))
	if err != nil {
		return "", err
	}
	if overlayJSON, err = writeOverlay(dir, patched, moduleRoot); err != nil {
		return "", fmt.Errorf("bug %s: %w", b.Name, err)
	}
	return overlayJSON, nil
}

// writeOverlay writes the files and what the go command takes.
func writeOverlay(dir string, patched []File, moduleRoot string) (overlayJSON string, err error) {
	root, err := filepath.Abs(moduleRoot)
	if err != nil {
		return "", err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return "", err
	}
	var overlay struct{ Replace map[string]string }
	overlay.Replace = map[string]string{}
	for _, f := range patched {
		to := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Join(dir, filepath.FromSlash(path.Dir(f.Name))), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(to, f.Content, 0o644); err != nil {
			return "", err
		}
		overlay.Replace[filepath.Join(root, filepath.FromSlash(f.Name))] = to
	}
	text, err := json.MarshalIndent(overlay, "", "\t")
	if err != nil {
		return "", err
	}
	overlayJSON = filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlayJSON, append(text, '\n'), 0o644); err != nil {
		return "", err
	}
	return overlayJSON, nil
}
