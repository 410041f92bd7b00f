// Package compose reads the Docker Compose project of a dev container configuration, and says from what the images of
// its services are built. It runs no program, and reads nothing outside of the workspace.
//
//	Load(ctx, configuration, lookupEnv) → Project
//	Project.Services[i].ComputeKey(ctx, hash.Options{…}) → hash.Key
//
// Files are read, merged and interpolated by github.com/compose-spec/compose-go, which Docker Compose uses, too. Which
// files and services these are follows the reference CLI: github.com/devcontainers/cli, src/spec-node/dockerCompose.ts.
package compose
