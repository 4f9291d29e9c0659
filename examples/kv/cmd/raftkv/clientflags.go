package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/quorate-raft/raft/examples/kv/client"
)

// clientFlags are those of every command that asks servers.
func clientFlags(more ...cli.Flag) []cli.Flag {
	return append(more,
		&cli.StringSliceFlag{Name: "endpoints", Value: []string{"127.0.0.1:8001"}, Usage: "`ADDRESS`,... of any servers, for clients", Sources: env("endpoints")},
		&cli.DurationFlag{Name: "timeout", Value: 15 * time.Second, Usage: "`TIME` after which to give up", Sources: env("timeout")},
		stringFlag("ca", "", "`FILE` with the certificates that sign those of the servers"),
		stringFlag("cert", "", "`FILE` with a certificate to show to servers"),
		stringFlag("key", "", "`FILE` with its key"),
		&cli.BoolFlag{Name: "json", Usage: "print JSON"},
	)
}

func newClient(c *cli.Command) (*client.Client, error) {
	config, err := clientConfig(c)
	if err != nil {
		return nil, err
	}
	cl, err := client.New(config)
	if err != nil {
		return nil, usageError{err}
	}
	return cl, nil
}

func clientConfig(c *cli.Command) (client.Config, error) {
	config := client.Config{Endpoints: c.StringSlice("endpoints")}
	if ca := c.String("ca"); ca != "" {
		pool, err := certificates("ca", ca)
		if err != nil {
			return config, err
		}
		config.TLS = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
	}
	if any, err := together(c, "cert", "key"); err != nil {
		return config, err
	} else if any {
		certificate, err := tls.LoadX509KeyPair(c.String("cert"), c.String("key"))
		if err != nil {
			return config, usagef("--cert, --key: %w", err)
		}
		if config.TLS == nil {
			config.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		config.TLS.Certificates = []tls.Certificate{certificate}
	}
	if config.TLS != nil { // then it is https, whether that was written or not
		config.Endpoints = withHTTPS(config.Endpoints)
	}
	return config, nil
}

// withHTTPS makes URLs with https of addresses without a scheme.
func withHTTPS(addresses []string) []string {
	urls := slices.Clone(addresses)
	for i, a := range urls {
		if !strings.Contains(a, "://") {
			urls[i] = "https://" + a
		}
	}
	return urls
}

// asking is an action that asks servers something, within the time of --timeout. What
// it returns is printed as JSON, or by print.
func asking[T any](names []string, ask func(ctx context.Context, cl *client.Client, c *cli.Command, args []string) (T, error),
	print func(c *cli.Command, answer T)) cli.ActionFunc {
	return func(ctx context.Context, c *cli.Command) error {
		args, err := arguments(c, names...)
		if err != nil {
			return err
		}
		cl, err := newClient(c)
		if err != nil {
			return err
		}
		defer cl.Close()
		ctx, cancel := context.WithTimeout(ctx, c.Duration("timeout"))
		defer cancel()
		answer, err := ask(ctx, cl, c, args)
		if err != nil {
			return err
		}
		if c.Bool("json") {
			return printJSON(c, answer)
		}
		print(c, answer)
		return nil
	}
}

func printJSON(c *cli.Command, v any) error {
	e := json.NewEncoder(c.Root().Writer)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func printf(c *cli.Command, format string, args ...any) {
	fmt.Fprintf(c.Root().Writer, format, args...)
}
