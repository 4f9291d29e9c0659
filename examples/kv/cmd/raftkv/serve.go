package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v3"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/quorate-raft/raft/examples/kv/server"
	"github.com/quorate-raft/raft/transport"
)

// env is how a flag is called in the environment: --peer-listen is RAFTKV_PEER_LISTEN.
func env(flag string) cli.ValueSourceChain {
	return cli.EnvVars("RAFTKV_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_")))
}

func stringFlag(name, value, usage string) *cli.StringFlag {
	return &cli.StringFlag{Name: name, Value: value, Usage: usage, Sources: env(name)}
}

func serveCommand() *cli.Command {
	return &cli.Command{
		Name:  "serve",
		Usage: "run a server",
		Description: `A server is of a cluster of its own, unless --members or --join say otherwise at its first
start. Later starts with the same --data find there who they are.

A new cluster of three, each command on its own machine:
  raftkv serve --id 1 --members 1=10.0.0.1:7001,2=10.0.0.2:7001,3=10.0.0.3:7001 --peer-listen 10.0.0.1:7001 ...
or one server first, which others join:
  raftkv serve --join 10.0.0.1:8001 --peer-listen 10.0.0.4:7001 --client-listen 10.0.0.4:8001

Each flag may be set in the environment, as RAFTKV_PEER_LISTEN for --peer-listen, and in the
config file, which is YAML: "peer-listen: 10.0.0.1:7001". A flag counts before the
environment, and that before the file.`,
		Flags: []cli.Flag{
			stringFlag("config", "", "`FILE` with flags, in YAML"),
			stringFlag("data", "raftkv-data", "`DIRECTORY` for everything that the server keeps"),
			stringFlag("cluster", "", "`NAME` that tells the cluster from others"),
			&cli.Uint64Flag{Name: "id", Usage: "`ID` of the server; a server that joins need not have one", Sources: env("id")},
			&cli.StringSliceFlag{Name: "members", Usage: "first members of a new cluster, the same for all: `ID=ADDRESS`,...", Sources: env("members")},
			&cli.StringSliceFlag{Name: "join", Usage: "`ADDRESS` of any server, for clients, of the cluster to join", Sources: env("join")},
			&cli.BoolFlag{Name: "as-learner", Usage: "join without becoming a voter", Sources: env("as-learner")},
			stringFlag("peer-listen", "127.0.0.1:7001", "`ADDRESS` for the other servers"),
			stringFlag("peer-advertise", "", "`ADDRESS` at which they reach it, if that is another"),
			stringFlag("client-listen", "127.0.0.1:8001", "`ADDRESS` for clients"),
			stringFlag("client-advertise", "", "`ADDRESS` at which they reach it, if that is another"),
			stringFlag("debug-listen", "", "`ADDRESS` for profiles (pprof)"),
			&cli.StringSliceFlag{Name: "peer-override", Usage: "`ID=ADDRESS`,... that count before the configuration's, after all servers have moved", Sources: env("peer-override")},
			stringFlag("peer-cert", "", "`FILE` with this server's certificate for mutual TLS with the others"),
			stringFlag("peer-key", "", "`FILE` with its key"),
			stringFlag("peer-ca", "", "`FILE` with the certificates that sign those of the others"),
			stringFlag("peer-name", "node-{id}", "`NAME` that a server's certificate must have"),
			stringFlag("client-cert", "", "`FILE` with the certificate that clients are shown"),
			stringFlag("client-key", "", "`FILE` with its key"),
			stringFlag("client-ca", "", "`FILE` with the certificates that sign those that clients must show"),
			stringFlag("join-ca", "", "`FILE` with the certificates that sign those of the servers to join; default: --client-ca"),
			&cli.DurationFlag{Name: "tick", Value: 100 * time.Millisecond, Usage: "`TIME` between heartbeats; the same on all servers", Sources: env("tick")},
			&cli.IntFlag{Name: "election-ticks", Value: 10, Usage: "`TICKS` of an election timeout; the same on all servers", Sources: env("election-ticks")},
			&cli.DurationFlag{Name: "request-timeout", Value: 5 * time.Second, Usage: "`TIME` that a request may wait for its outcome", Sources: env("request-timeout")},
			&cli.Uint64Flag{Name: "snapshot-entries", Value: 100_000, Usage: "compact the log after so many `ENTRIES`", Sources: env("snapshot-entries")},
			&cli.Uint64Flag{Name: "trailing-entries", Value: 10_000, Usage: "`ENTRIES` that stay then, for servers that are behind", Sources: env("trailing-entries")},
			&cli.Uint64Flag{Name: "max-learner-lag", Value: 1000, Usage: "`ENTRIES` that a learner may be behind when it becomes a voter", Sources: env("max-learner-lag")},
			&cli.BoolFlag{Name: "auto-repair", Usage: "as leader, put a learner in the place of a voter that is gone", Sources: env("auto-repair")},
			&cli.StringSliceFlag{Name: "spares", Usage: "`ID`,... of the learners that may take its place, in this order; default: all", Sources: env("spares")},
			&cli.DurationFlag{Name: "repair-after", Value: 10 * time.Minute, Usage: "`TIME` for which the voter must have been silent", Sources: env("repair-after")},
			&cli.IntFlag{Name: "repair-min-voters", Usage: "`N` voters must be heard from; default: as many as decide", Sources: env("repair-min-voters")},
			&cli.DurationFlag{Name: "repair-cooldown", Value: 5 * time.Minute, Usage: "`TIME` for which a learner that failed is left alone, doubled each time", Sources: env("repair-cooldown")},
			&cli.BoolFlag{Name: "repair-paused", Usage: "replace nobody until raftkv repair resume", Sources: env("repair-paused")},
			stringFlag("log-level", "info", "`LEVEL`: debug, info, warn or error"),
			stringFlag("log-format", "console", "`FORMAT`: console or json"),
		},
		Before: configFile,
		Action: serve,
	}
}

func serve(ctx context.Context, c *cli.Command) error {
	if _, err := arguments(c); err != nil {
		return err
	}
	config, err := serverConfig(c)
	if err != nil {
		return err
	}
	defer func() { _ = config.Logger.Sync() }()
	s, err := server.Start(ctx, config)
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case <-s.Done():
	}
	return s.Stop()
}

func serverConfig(c *cli.Command) (config server.Config, err error) {
	config = server.Config{
		Dir: c.String("data"), Cluster: c.String("cluster"), ID: c.Uint64("id"),
		Join: c.StringSlice("join"), AsLearner: c.Bool("as-learner"),
		PeerListen: c.String("peer-listen"), PeerAdvertise: c.String("peer-advertise"),
		ClientListen: c.String("client-listen"), ClientAdvertise: c.String("client-advertise"),
		DebugListen: c.String("debug-listen"),
		Tick:        c.Duration("tick"), ElectionTicks: c.Int("election-ticks"), RequestTimeout: c.Duration("request-timeout"),
		SnapshotEntries: c.Uint64("snapshot-entries"), TrailingEntries: c.Uint64("trailing-entries"),
		MaxLearnerLag: c.Uint64("max-learner-lag"),
	}
	if err := setRepair(&config, c); err != nil {
		return config, err
	}
	if config.Members, err = addressList(c, "members"); err != nil {
		return config, err
	}
	if config.PeerOverride, err = addressList(c, "peer-override"); err != nil {
		return config, err
	}
	if err := setTLS(&config, c); err != nil {
		return config, err
	}
	if config.JoinTLS != nil { // then it is https, whether that was written or not
		config.Join = withHTTPS(config.Join)
	}
	config.Logger, err = logger(c)
	return config, err
}

// setRepair says what is done about voters that are gone.
func setRepair(config *server.Config, c *cli.Command) error {
	if config.AutoRepair = c.Bool("auto-repair"); !config.AutoRepair {
		for _, flag := range []string{"spares", "repair-after", "repair-min-voters", "repair-cooldown", "repair-paused"} {
			if c.IsSet(flag) {
				return usagef("--%s needs --auto-repair", flag)
			}
		}
		return nil
	}
	config.RepairAfter, config.RepairMinVoters = c.Duration("repair-after"), c.Int("repair-min-voters")
	config.RepairCooldown, config.RepairPaused = c.Duration("repair-cooldown"), c.Bool("repair-paused")
	for _, text := range c.StringSlice("spares") {
		id, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64)
		if err != nil || id == 0 {
			return usagef("--spares: %q is not the ID of a server", text)
		}
		config.Spares = append(config.Spares, id)
	}
	return nil
}

// addressList reads ID=ADDRESS,...
func addressList(c *cli.Command, flag string) (map[uint64]string, error) {
	var list map[uint64]string
	for _, item := range c.StringSlice(flag) {
		number, address, _ := strings.Cut(item, "=")
		id, err := strconv.ParseUint(strings.TrimSpace(number), 10, 64)
		if err != nil || address == "" {
			return nil, usagef("--%s: %q is not ID=ADDRESS", flag, item)
		}
		if _, twice := list[id]; twice {
			return nil, usagef("--%s: there are two of ID %d", flag, id)
		}
		if list == nil {
			list = map[uint64]string{}
		}
		list[id] = strings.TrimSpace(address)
	}
	return list, nil
}

func setTLS(config *server.Config, c *cli.Command) (err error) {
	if any, err := together(c, "peer-cert", "peer-key", "peer-ca"); err != nil {
		return err
	} else if any {
		if _, err := tls.LoadX509KeyPair(c.String("peer-cert"), c.String("peer-key")); err != nil {
			return usagef("--peer-cert, --peer-key: %w", err)
		}
		if _, err := certificates("peer-ca", c.String("peer-ca")); err != nil {
			return err
		}
		pattern := c.String("peer-name")
		config.PeerTLS = &transport.TLSConfig{
			CertFile: c.String("peer-cert"), KeyFile: c.String("peer-key"), CAFile: c.String("peer-ca"),
			PeerName: func(id uint64) string { return strings.ReplaceAll(pattern, "{id}", strconv.FormatUint(id, 10)) },
		}
	}
	any, err := together(c, "client-cert", "client-key")
	if err != nil {
		return err
	}
	if any {
		certificate, err := newCertificateFiles(c.String("client-cert"), c.String("client-key"))
		if err != nil {
			return usagef("--client-cert, --client-key: %w", err)
		}
		config.ClientTLS = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: certificate.server}
	}
	if ca := c.String("client-ca"); ca != "" {
		if !any {
			return usagef("--client-ca needs --client-cert and --client-key")
		}
		config.ClientTLS.ClientAuth = tls.RequireAndVerifyClientCert
		if config.ClientTLS.ClientCAs, err = certificates("client-ca", ca); err != nil {
			return err
		}
	}
	return setJoinTLS(config, c)
}

// setJoinTLS says how a server asks others at their addresses for clients: it shows
// them the certificate that it has itself.
func setJoinTLS(config *server.Config, c *cli.Command) (err error) {
	join := c.String("join-ca")
	if config.ClientTLS == nil && join == "" {
		return nil
	}
	config.JoinTLS = &tls.Config{MinVersion: tls.VersionTLS12}
	if config.ClientTLS != nil {
		own := config.ClientTLS.GetCertificate
		config.JoinTLS.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own(nil) }
		config.JoinTLS.RootCAs = config.ClientTLS.ClientCAs
	}
	if join != "" {
		config.JoinTLS.RootCAs, err = certificates("join-ca", join)
	}
	return err
}

// together says whether flags that go together are set, and refuses some without the
// others.
func together(c *cli.Command, flags ...string) (any bool, err error) {
	for _, f := range flags {
		any = any || c.String(f) != ""
	}
	for _, f := range flags {
		if any && c.String(f) == "" {
			return any, usagef("--%s is missing: --%s go together", f, strings.Join(flags, ", --"))
		}
	}
	return any, nil
}

func certificates(flag, file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, usagef("--%s: %w", flag, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, usagef("--%s: %s holds no certificate", flag, file)
	}
	return pool, nil
}

// logger writes to standard error, so that standard output is for results.
func logger(c *cli.Command) (*zap.Logger, error) {
	level, err := zapcore.ParseLevel(c.String("log-level"))
	if err != nil {
		return nil, usagef("--log-level: %w", err)
	}
	config := zap.NewProductionConfig()
	config.Level = zap.NewAtomicLevelAt(level)
	config.Sampling = nil
	config.DisableStacktrace, config.DisableCaller = true, true
	config.EncoderConfig.EncodeTime = zapcore.ISO8601TimeEncoder
	switch format := c.String("log-format"); format {
	case "json":
	case "console":
		config.Encoding = "console"
		config.EncoderConfig.EncodeLevel = zapcore.CapitalLevelEncoder
		config.EncoderConfig.ConsoleSeparator = "  "
	default:
		return nil, usagef("--log-format (%s) must be console or json", format)
	}
	l, err := config.Build()
	if err != nil {
		return nil, fmt.Errorf("starting to log: %w", err)
	}
	return l, nil
}
