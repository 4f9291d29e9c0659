package child

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Run runs a program with variables of the environment added, and returns what it writes.
func Run(ctx context.Context, line []string, env ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Env = append(os.Environ(), env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", strings.Join(line, " "), err, stderr.String())
	}
	return out, nil
}

// Build builds the program of the module in directory module, below the current one, into dir, and returns its path.
func Build(ctx context.Context, module, dir string) (string, error) {
	program := filepath.Join(dir, filepath.Base(module))
	cmd := exec.CommandContext(ctx, "go", "build", "-o", program, ".")
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the program in %s (run this in the directory above, or by go -C): %w\n%s", module, err, out)
	}
	return program, nil
}

// InTurn takes samples of each library in turn, again and again, so that what slows the machine for a while slows all:
// the i-th samples of two libraries are taken one after the other.
func InTurn[S any](rounds int, libs []string, take func(lib string) (S, error)) (map[string][]S, error) {
	samples := make(map[string][]S)
	for range rounds {
		for _, lib := range libs {
			s, err := take(lib)
			if err != nil {
				return samples, err
			}
			samples[lib] = append(samples[lib], s)
		}
	}
	return samples, nil
}
