package bugs

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// Builder builds a command with bugs: one program with all that can be combined, and
// one for each of the others. Its fields do not change once a method was called.
type Builder struct {
	// Dir is the directory for programs and overlays.
	Dir string
	// ModuleRoot is the directory of this module's go.mod.
	ModuleRoot string
	// Package is the command, as `go build` takes it in the working directory.
	Package string

	together Combination
}

// Program is a command that was built, without a bug or with one that is active.
type Program struct {
	// File is the executable.
	File string
	// Bug is the number of the bug to be switched on, 0 where there is nothing to
	// switch: in a program without bugs, or with one that has it built in.
	Bug int
}

// Command returns the program's call. ActiveVariable is set to Bug, whatever the
// caller's environment has.
func (p Program) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.File, args...)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", ActiveVariable, p.Bug))
	return cmd
}

// Clean builds the program without bugs.
func (b *Builder) Clean() (Program, error) {
	p := Program{File: filepath.Join(b.Dir, "clean")}
	return p, b.build(p.File, "")
}

// Together builds one program with as many of the bugs as Combine can. It returns that
// program, with no bug active, and what is in it; no program if nothing is. The program
// serves With from then on: Together comes before it.
func (b *Builder) Together(all []Bug) (Program, Combination, error) {
	together, err := Combine(os.DirFS(b.ModuleRoot), all)
	if err != nil || len(together.Numbers) == 0 {
		return Program{}, together, err
	}
	overlay, err := together.Overlay(filepath.Join(b.Dir, "together"), b.ModuleRoot)
	if err != nil {
		return Program{}, together, err
	}
	p := Program{File: b.combined()}
	if err := b.build(p.File, overlay); err != nil {
		return Program{}, together, fmt.Errorf("bugs: all in one program: %w", err)
	}
	b.together = together
	return p, together, nil
}

// With returns the program with the bug: that of Together, or one that is built now. It
// may be called concurrently for different bugs.
func (b *Builder) With(bug Bug) (Program, error) {
	if slices.Contains(b.together.Numbers, bug.Number) {
		return Program{File: b.combined(), Bug: bug.Number}, nil
	}
	dir := filepath.Join(b.Dir, bug.Name)
	overlay, err := Overlay(dir, bug, b.ModuleRoot)
	if err != nil {
		return Program{}, err
	}
	p := Program{File: filepath.Join(dir, "program")}
	if err := b.build(p.File, overlay); err != nil {
		return Program{}, fmt.Errorf("bug %s: %w", bug.Name, err)
	}
	return p, nil
}

// Done removes a program of With that serves no other bug.
func (b *Builder) Done(p Program) error {
	if p.Bug != 0 {
		return nil
	}
	return os.RemoveAll(filepath.Dir(p.File))
}

func (b *Builder) combined() string { return filepath.Join(b.Dir, "together", "program") }

// build builds the command as a file, with an overlay if it is not "".
func (b *Builder) build(file, overlay string) error {
	args := []string{"build", "-buildvcs=false", "-o", file}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	if out, err := exec.Command("go", append(args, b.Package)...).CombinedOutput(); err != nil {
		return fmt.Errorf("building: %w\n%s", err, out)
	}
	return nil
}
