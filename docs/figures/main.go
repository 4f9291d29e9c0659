// Command figures draws the figures of docs/membership.md: scripts for groups of real nodes, whose traces become SVG.
//
//	go run ./docs/figures          # writes docs/figures/*.svg
//	go run ./docs/figures -check   # says which of them are not what it would write
//
// Where the library does not let a hazard happen, the figure is made with one of the known bugs of rafttest/bugs built in,
// by running this command again.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quorate-raft/raft/rafttest/bugs"
	"github.com/quorate-raft/raft/rafttest/spacetime"
)

// figure is a script and what it shows.
type figure struct {
	name, title string
	// bug is the number of the known bug that it is played with; 0 for none.
	bug  int
	play func() *stage
}

func main() {
	check := flag.Bool("check", false, "compare with the files instead of writing them")
	one := flag.String("print", "", "print the figure of this name, with the code as it is built")
	root := flag.String("root", ".", "the directory of the module")
	flag.Parse()
	if err := run(*root, *one, *check, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "figures:", err)
		os.Exit(1)
	}
}

func run(root, one string, check bool, stdout io.Writer) error {
	if one != "" {
		i := slices.IndexFunc(figures, func(f figure) bool { return f.name == one })
		if i < 0 {
			return fmt.Errorf("there is no figure %q", one)
		}
		return figures[i].draw(stdout)
	}
	var stale []error
	for _, f := range figures {
		text, err := f.bytes(root)
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		file := filepath.Join(root, "docs", "figures", f.name+".svg")
		if !check {
			if err := os.WriteFile(file, text, 0o666); err != nil {
				return err
			}
			continue
		}
		if there, err := os.ReadFile(file); err != nil || !bytes.Equal(there, text) {
			stale = append(stale, fmt.Errorf("%s is not what `go run ./docs/figures` writes", file))
		}
	}
	return errors.Join(stale...)
}

func (f figure) draw(w io.Writer) error {
	s := f.play()
	return spacetime.WriteSVG(w, spacetime.Figure{Title: f.title, Notes: s.notes, Events: s.events, HideCommits: s.hideCommits})
}

// bytes returns the figure, made with its bug.
func (f figure) bytes(root string) ([]byte, error) {
	var out bytes.Buffer
	if f.bug == 0 {
		err := f.draw(&out)
		return out.Bytes(), err
	}
	dir, err := os.MkdirTemp("", "figures")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	bug, err := bugs.Find(f.bug)
	if err != nil {
		return nil, err
	}
	overlay, err := bugs.Overlay(dir, bug, root)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("go", "run", "-overlay", overlay, "./docs/figures", "-print", f.name)
	cmd.Dir, cmd.Stdout = root, &out
	var faults strings.Builder
	cmd.Stderr = &faults
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("with bug %d: %w\n%s", f.bug, err, faults.String())
	}
	return out.Bytes(), nil
}
