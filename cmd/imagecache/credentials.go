package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/cli"
	kube "imagecache.dev/internal/cluster"
	"imagecache.dev/internal/dockerconfig"
)

// helperProgram is the name by which docker and podman call a credential helper.
const helperProgram = "docker-credential-imagecache"

// errNoCredentials is, word for word, how a helper reports that it has no credentials. Clients then continue without:
// https://github.com/docker/docker-credential-helpers/blob/master/credentials/error.go
const errNoCredentials = "credentials not found in native keychain"

// maxHelperInput limits the length of a client's input, a registry's address.
const maxHelperInput = 4096

func newCredentials(streams cli.Streams) *cobra.Command {
	var project string
	var flags *cli.ClusterFlags
	command := &cobra.Command{
		Use:   "credentials get|list|store|erase",
		Short: "Act as Docker's credential helper for a project's repository",
		Long: `Answer requests of docker, podman or another client for registry credentials. The answer holds the project's
current pull credentials. The controller refreshes them, so a running environment always has valid credentials.

Install this program under the name ` + helperProgram + `, set IMAGECACHE_PROJECT, and name the helper in
~/.docker/config.json: {"credHelpers": {"REGISTRY": "imagecache"}}. Credentials can't be stored or erased here.`,
		Example: `  echo REGISTRY | imagecache credentials get --project web`,
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return helpClient(command.Context(), streams, flags, project, args[0])
		},
		ValidArgs: []string{"get", "list", "store", "erase"},
	}
	command.Flags().StringVar(&project, "project", "", "the name of a ProjectImageCache, or the project's ID")
	flags = cli.AddClusterFlags(command)
	_ = command.RegisterFlagCompletionFunc("project", cli.CompleteProjects(flags))
	return command
}

// helpClient answers one request of the credential helper protocol.
func helpClient(ctx context.Context, streams cli.Streams, flags *cli.ClusterFlags, project, verb string) error {
	switch verb {
	case "get", "list":
	case "store", "erase":
		return fmt.Errorf("this helper can't change credentials (%s)", verb)
	default:
		return cli.UsageError("credentials accepts get, list, store and erase, not %q", verb)
	}
	if project == "" {
		return cli.UsageError("a project is required: set --project or IMAGECACHE_PROJECT")
	}
	wanted := ""
	if verb == "get" {
		var err error
		if wanted, err = readRegistry(streams.In); err != nil {
			return err
		}
	}
	logins, err := pullLogins(ctx, flags, project)
	if err != nil {
		return err
	}
	if verb == "list" {
		known := map[string]string{}
		for _, login := range logins {
			known[login.Registry] = login.Username
		}
		return json.NewEncoder(streams.Out).Encode(known)
	}
	for _, login := range logins {
		if login.Registry == registryHost(wanted) {
			return json.NewEncoder(streams.Out).Encode(map[string]string{
				"ServerURL": wanted, "Username": login.Username, "Secret": login.Password,
			})
		}
	}
	// Clients look for this sentence on standard output.
	if err := cli.WriteLine(streams.Out, errNoCredentials); err != nil {
		return err
	}
	return cli.Code(cli.ExitFailed)
}

// readRegistry reads the address of the registry that a client asks for.
func readRegistry(in io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(in, maxHelperInput)).ReadString('\n')
	if err != nil && err != io.EOF {
		return "", fmt.Errorf("read registry: %w", err)
	}
	if line = strings.TrimSpace(line); line == "" {
		return "", cli.UsageError("write the registry's address to standard input")
	}
	return line, nil
}

// registryHost returns the host and port of an address that may have a scheme and a path.
func registryHost(address string) string {
	if !strings.Contains(address, "://") {
		address = "https://" + address
	}
	parsed, err := url.Parse(address)
	if err != nil {
		return address
	}
	return parsed.Host
}

// pullLogins returns the credentials in a project's pull Secret.
func pullLogins(ctx context.Context, flags *cli.ClusterFlags, project string) ([]dockerconfig.Login, error) {
	connection, namespace, err := flags.Connect()
	if err != nil {
		return nil, err
	}
	cache, err := kube.FindProject(ctx, connection, namespace, project)
	if err != nil {
		return nil, err
	}
	secretName, err := pullSecretOf(cache)
	if err != nil {
		return nil, err
	}
	secret, err := kube.CredentialSecret(ctx, connection, cache.Namespace, secretName)
	if err != nil {
		return nil, err
	}
	return dockerconfig.Logins(secret)
}

func pullSecretOf(cache *v1alpha1.ProjectImageCache) (string, error) {
	if cache.Status.PullCredentials == nil {
		return "", fmt.Errorf(
			"project %s has no pull credentials now: the controller creates them when an environment asks for an image",
			cache.Name,
		)
	}
	return cache.Status.PullCredentials.SecretName, nil
}
