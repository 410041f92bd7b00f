// Package engine starts the container engines that people have, for tests: Docker 20.10, 28 and 29 and podman, each with
// a store, a socket, a bridge and a client configuration of its own.
//
//	docker := engine.Start(t, engine.Docker28Containerd)
//	docker.Use(t)                       // this process's environment: builder.Find finds it
//	docker.Load(t, image, "base:1")
//	docker.Run(t, "run", "--rm", "base:1", "true")
//
// Several engines can run at once. An engine ends with its test, and also when the test's process is killed: a keeper
// process then ends the engine and removes its mounts, bridge and files.
//
// The engines are what "make engines" provides in bin/engines. A test of an engine that was not built is skipped, unless
// the environment variable IMAGECACHE_ENGINES names the engine, or is "all": the test then fails.
package engine
