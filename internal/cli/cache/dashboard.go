package cache

import (
	"context"
	"crypto/tls"
	"fmt"
	"os/exec"
	"runtime"

	"github.com/spf13/cobra"

	"imagecache.dev/internal/cli"
	"imagecache.dev/internal/dashboard"
	"imagecache.dev/internal/dashboard/prometheus"
)

// NewDashboard returns the command `imagecache dashboard`.
func NewDashboard(streams cli.Streams) *cobra.Command {
	d := &dashboardCommand{streams: streams}
	command := &cobra.Command{
		Use:   "dashboard",
		Short: "Open a page that shows whether the caches work, what they save and what they hold",
		Long: `Serve a page on this machine and open it in a browser: whether runners and projects work, what their caches save, why an
environment waited, which images exist, and the switch of each runner. It follows the cluster as it changes.

The page shows and does what you may see and do: it uses your kubeconfig, and what you may not do is grey and names the
right that you lack. Images are listed with your own AWS credentials, as imagecache images does. The address holds a
token; whoever has it may do what you may, so don't give it away. Ctrl-C ends the page.

Figures by day count the requests that the cluster still has: a finished request is kept for a day unless its spec sets
another time. With --prometheus they reach back as far as that Prometheus does.

With --listen it serves in the cluster for everybody, over TLS, and asks each caller for a token of the cluster. The
Helm chart runs it so (docs/dashboard.md).`,
		Example: `  # look at the caches of the current namespace
  imagecache dashboard

  # look at all namespaces, and change nothing
  imagecache dashboard -A --read-only`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return d.run(command.Context()) },
	}
	flags := command.Flags()
	flags.BoolVarP(&d.everywhere, "all-namespaces", "A", false, "show all namespaces")
	flags.IntVar(&d.port, "port", 0, "port of this machine to serve on; a random one by default")
	flags.BoolVar(&d.noBrowser, "no-browser", false, "don't open a browser; print the address alone")
	flags.BoolVar(&d.readOnly, "read-only", false, "leave out whatever changes something")
	flags.StringVar(&d.prometheus, "prometheus", "", "address of a Prometheus that has the manager's metrics")
	flags.StringVar(&d.listen, "listen", "", "serve in the cluster on this address, such as :8443, for callers with a token")
	flags.StringVar(&d.certificate, "tls-certificate", "", "file with the certificate of --listen; by default self-signed")
	flags.StringVar(&d.key, "tls-key", "", "file with the key of --tls-certificate")
	d.flags = cli.AddClusterFlags(command)
	return command
}

type dashboardCommand struct {
	streams                              cli.Streams
	flags                                *cli.ClusterFlags
	everywhere, noBrowser, readOnly      bool
	port                                 int
	prometheus, listen, certificate, key string
}

func (d *dashboardCommand) run(ctx context.Context) error {
	switch {
	case d.port < 0 || d.port > 65535:
		return cli.UsageError("--port must be between 0 and 65535, not %d", d.port)
	case (d.certificate == "") != (d.key == ""):
		return cli.UsageError("--tls-certificate and --tls-key belong together; set both")
	case d.certificate != "" && d.listen == "":
		return cli.UsageError("--tls-certificate is for --listen; on this machine the page needs none")
	case d.listen != "" && d.port != 0:
		return cli.UsageError("--port is for this machine, and --listen has a port of its own; set one of them")
	}
	if d.prometheus != "" {
		if _, err := prometheus.New(d.prometheus); err != nil {
			return cli.UsageError("%v", err)
		}
	}
	connection, namespace, err := d.flags.Connect()
	if err != nil {
		return err
	}
	config, err := d.flags.RESTConfig()
	if err != nil {
		return fmt.Errorf("read kubeconfig: %w", err)
	}
	if d.everywhere {
		namespace = ""
	}
	options := dashboard.Options{
		Config: config, Client: connection, Namespace: namespace, ReadOnly: d.readOnly, Prometheus: d.prometheus,
	}
	if d.listen != "" {
		return d.inCluster(ctx, options)
	}
	return dashboard.Local(ctx, options, d.port, d.opened)
}

func (d *dashboardCommand) inCluster(ctx context.Context, options dashboard.Options) error {
	var certificate *tls.Certificate
	if d.certificate != "" {
		read, err := tls.LoadX509KeyPair(d.certificate, d.key)
		if err != nil {
			return fmt.Errorf("read certificate: %w", err)
		}
		certificate = &read
	}
	return dashboard.InCluster(ctx, options, d.listen, certificate, func() {
		_ = cli.WriteLine(d.streams.Out, "The dashboard serves on "+d.listen+".")
	})
}

// opened tells the address, and opens one that can be used once: other users can read the browser's arguments.
func (d *dashboardCommand) opened(address, once string) {
	_ = cli.WriteLine(d.streams.Out, "The dashboard is at "+address)
	_ = cli.WriteLine(d.streams.Err, "Ctrl-C ends it. Whoever has the address may do what you may.")
	if d.noBrowser {
		return
	}
	if err := openBrowser(once); err != nil {
		_ = cli.WriteLine(d.streams.Err, "No browser could be opened; open the address yourself.")
	}
}

// openBrowser opens an address with the program that opens files on this machine.
func openBrowser(address string) error {
	program := "xdg-open"
	if runtime.GOOS == "darwin" {
		program = "open"
	}
	command := exec.Command(program, address)
	if err := command.Start(); err != nil {
		return err
	}
	go func() { _ = command.Wait() }()
	return nil
}
