package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"
	"go.yaml.in/yaml/v3"
)

// configFile sets the flags that the file of --config has and that are not set
// otherwise. A name that is no flag is an error: it was meant to be one.
func configFile(ctx context.Context, c *cli.Command) (context.Context, error) {
	file := c.String("config")
	if file == "" {
		return ctx, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return ctx, usagef("--config: %w", err)
	}
	values := map[string]any{}
	if err := yaml.Unmarshal(data, &values); err != nil {
		return ctx, usagef("--config: %s: %w", file, err)
	}
	var names []string
	for _, f := range c.Flags {
		names = append(names, f.Names()...)
	}
	for name, value := range values {
		if !slices.Contains(names, name) || name == "config" || name == "help" {
			return ctx, usagef("--config: %s: there is no flag %q", file, name)
		}
		if c.IsSet(name) {
			continue
		}
		text, err := flagText(value)
		if err == nil {
			err = c.Set(name, text)
		}
		if err != nil {
			return ctx, usagef("--config: %s: %s: %w", file, name, err)
		}
	}
	return ctx, nil
}

// flagText returns a value as a flag has it. A list may be written as one.
func flagText(value any) (string, error) {
	switch v := value.(type) {
	case string, bool, int, uint64, float64:
		return fmt.Sprint(v), nil
	case []any:
		var items []string
		for _, item := range v {
			text, err := flagText(item)
			if err != nil {
				return "", err
			}
			items = append(items, text)
		}
		return strings.Join(items, ","), nil
	case map[string]any:
		return "", fmt.Errorf("a map is no value of a flag")
	}
	return "", fmt.Errorf("%v is no value of a flag", value)
}
