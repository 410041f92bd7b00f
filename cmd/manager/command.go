package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"github.com/go-logr/zapr"
	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers"
	"imagecache.dev/internal/buildinfo"
)

// settings are the manager's flags.
type settings struct {
	metricsAddress string
	metricsSecure  bool
	probeAddress   string
	leaderElection bool
	leaseNamespace string
	logLevel       string
	logFormat      string
	controllers    controllers.Settings
}

func newCommand() *cobra.Command {
	var s settings
	command := &cobra.Command{
		Use:   "manager",
		Short: "Run the controllers of the dev container image cache",
		Long: `Run the controllers of the dev container image cache.

Kubernetes is reached as kubectl reaches it (KUBECONFIG, or the pod's service account), and AWS by the SDK's ordinary
settings (environment, shared configuration, IRSA, Pod Identity).`,
		Example:       "  manager --leader-elect --metrics-bind-address :8443",
		Version:       buildinfo.Text(),
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd.Context(), s)
		},
	}
	flags := command.Flags()
	flags.StringVar(
		&s.metricsAddress, "metrics-bind-address", "0", "address to serve metrics on, such as :8443; 0 serves none",
	)
	flags.BoolVar(
		&s.metricsSecure, "metrics-secure", true, "serve metrics over TLS, and only to clients that Kubernetes authorizes",
	)
	flags.StringVar(
		&s.probeAddress, "health-probe-bind-address", "0",
		"address to serve /healthz and /readyz on, such as :8081; 0 serves none",
	)
	flags.BoolVar(&s.leaderElection, "leader-elect", false, "elect one of several replicas to run the controllers")
	flags.StringVar(
		&s.leaseNamespace, "leader-election-namespace", "",
		"namespace of the leader election's Lease; by default the pod's own namespace",
	)
	flags.StringVar(&s.logLevel, "log-level", "info", "log level: info, or debug to log the reason of each decision")
	flags.StringVar(&s.logFormat, "log-format", "json", "log format: json or console")
	s.controllers.BindFlags(flags)
	return command
}

func run(ctx context.Context, s settings) error {
	logger, err := newLogger(os.Stderr, s.logLevel, s.logFormat)
	if err != nil {
		return err
	}
	defer func() { _ = logger.Sync() }() // syncing a terminal returns an error
	ctrl.SetLogger(zapr.NewLogger(logger))
	klog.SetLogger(zapr.NewLogger(logger))

	if os.Getenv("GOGC") == "" {
		// Most of the heap is the cache, which stays. Collecting garbage earlier costs little and saves a third of
		// the memory.
		debug.SetGCPercent(50)
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the cluster: %w", err)
	}
	mgr, err := newManager(config, &s)
	if err != nil {
		return err
	}
	if err := controllers.Setup(ctx, mgr, s.controllers); err != nil {
		return err
	}
	if err := mgr.Start(ctx); err != nil {
		return fmt.Errorf("run controllers: %w", err)
	}
	return nil
}

// drain is how long reconciliations may continue after the program receives the signal to end. It is less than
// terminationGracePeriodSeconds of the pod, so that the program releases the lease before the pod is killed.
var drain = 20 * time.Second

func newManager(config *rest.Config, s *settings) (ctrl.Manager, error) {
	// The API server's priority and fairness limits how many calls a client may make.
	config.QPS, config.Burst = -1, -1
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("register types: %w", err)
		}
	}
	metrics := metricsserver.Options{BindAddress: s.metricsAddress, SecureServing: s.metricsSecure}
	if s.metricsSecure {
		metrics.FilterProvider = filters.WithAuthenticationAndAuthorization
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                        scheme,
		Cache:                         s.controllers.CacheOptions(),
		Metrics:                       metrics,
		HealthProbeBindAddress:        s.probeAddress,
		LeaderElection:                s.leaderElection,
		LeaderElectionID:              "manager.imagecache.dev",
		LeaderElectionNamespace:       s.leaseNamespace,
		LeaderElectionReleaseOnCancel: true, // run returns, and the program ends, right after
		GracefulShutdownTimeout:       &drain,
	})
	if err != nil {
		return nil, fmt.Errorf("set up manager: %w", err)
	}
	if err := mgr.AddHealthzCheck("alive", healthz.Ping); err != nil {
		return nil, fmt.Errorf("add health check: %w", err)
	}
	if err := mgr.AddReadyzCheck("caches", cachesSynced(mgr)); err != nil {
		return nil, fmt.Errorf("add readiness check: %w", err)
	}
	return mgr, nil
}

// probePatience is how long a probe waits for an answer. It is less than Kubernetes' timeout of one second.
const probePatience = 500 * time.Millisecond

// cachesSynced reports ready when the first list of every kind has arrived. A replica that does not lead also becomes
// ready, so that it can take over at once.
func cachesSynced(mgr ctrl.Manager) healthz.Checker {
	return func(request *http.Request) error {
		ctx, cancel := context.WithTimeout(request.Context(), probePatience)
		defer cancel()
		if !mgr.GetCache().WaitForCacheSync(ctx) {
			return fmt.Errorf("the caches are not synced yet")
		}
		return nil
	}
}
