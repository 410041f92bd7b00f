package world

import (
	"context"
	"fmt"

	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	controllerconfig "sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"imagecache.dev/controllers"
)

// StartManager runs all controllers in this process, for some namespaces or, with none given, for all.
func (w *World) StartManager(namespaces ...string) error {
	settings := controllers.Settings{Namespace: ManagerNamespace}
	keep := settings.CacheOptions()
	for _, namespace := range namespaces {
		if keep.DefaultNamespaces == nil {
			keep.DefaultNamespaces = map[string]cache.Config{}
		}
		keep.DefaultNamespaces[namespace] = cache.Config{}
	}
	mgr, err := ctrl.NewManager(w.Config, ctrl.Options{
		Scheme:     w.Scheme,
		Cache:      keep,
		Metrics:    metricsserver.Options{BindAddress: "0"},
		Controller: controllerconfig.Controller{SkipNameValidation: ptr.To(true)},
	})
	if err != nil {
		return fmt.Errorf("make manager: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if err := controllers.Setup(ctx, mgr, settings); err != nil {
		cancel()
		return fmt.Errorf("set up controllers: %w", err)
	}
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	w.stopManager = func() error {
		cancel()
		w.stopManager = func() error { return nil }
		return <-done
	}
	return nil
}

// StopManager ends the controllers.
func (w *World) StopManager() error { return w.stopManager() }
