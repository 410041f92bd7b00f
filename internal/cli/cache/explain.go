package cache

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/catalog"
	"imagecache.dev/internal/cli"
	"imagecache.dev/internal/display"
)

// NewExplain returns the command `imagecache explain`.
func NewExplain(streams cli.Streams) *cobra.Command {
	var output cli.Output
	var flags *cli.ClusterFlags
	command := &cobra.Command{
		Use:   "explain REQUEST",
		Short: "Explain the cache's answer to a request, and what to do",
		Long: `Explain the cache's answer to a request: hit, miss or bypassed, the reason, what happened since, and what you can do
about it. REQUEST is the name of a DevcontainerImage, or an environment's ID for its latest request. An environment with
a Docker Compose configuration has a request for each service that is built: the command explains the latest one of
each service, and prints them as a DevcontainerImageList for programs.`,
		Example: `  # explain the latest request of environment env-1
  imagecache explain env-1`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			if err := output.Validate(); err != nil {
				return err
			}
			requests, err := findRequests(command.Context(), flags, args[0])
			if err != nil {
				return err
			}
			return printRequests(streams, &output, requests, time.Now())
		},
	}
	output.AddFlags(command.Flags())
	flags = cli.AddClusterFlags(command)
	command.ValidArgsFunction = cli.CompleteRequests(flags)
	return command
}

// printRequests explains requests: one, or one for each service.
func printRequests(
	streams cli.Streams, output *cli.Output, requests []v1alpha1.DevcontainerImage, now time.Time,
) error {
	if !output.IsTable() {
		return encodeRequests(streams, output, requests)
	}
	for i := range requests {
		if i > 0 {
			if err := cli.WriteLine(streams.Out, ""); err != nil {
				return err
			}
		}
		if err := explain(streams, &requests[i], now); err != nil {
			return err
		}
	}
	return nil
}

func encodeRequests(streams cli.Streams, output *cli.Output, requests []v1alpha1.DevcontainerImage) error {
	for i := range requests {
		requests[i].ManagedFields = nil
		requests[i].SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("DevcontainerImage"))
	}
	if len(requests) == 1 {
		return output.Encode(streams.Out, &requests[0])
	}
	list := &v1alpha1.DevcontainerImageList{Items: requests}
	list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("DevcontainerImageList"))
	return output.Encode(streams.Out, list)
}

// explain prints everything about a request for a person.
func explain(streams cli.Streams, request *v1alpha1.DevcontainerImage, now time.Time) error {
	out := tabwriter.NewWriter(streams.Out, 0, 8, 2, ' ', 0)
	for _, fact := range factsOf(request, now) {
		_, _ = fmt.Fprintf(out, "%s:\t%s\n", fact[0], fact[1])
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	if err := printConditions(streams, request.Status.Conditions, now); err != nil {
		return err
	}
	if err := printInputs(streams, request.Spec.Inputs); err != nil {
		return err
	}
	if advice := catalog.AdviceFor(request); advice != "" {
		return cli.WriteLine(streams.Out, "\nWhat to do: "+advice)
	}
	return nil
}

// factsOf returns the lines of an explanation, each a name and a value.
func factsOf(request *v1alpha1.DevcontainerImage, now time.Time) [][2]string {
	spec, status := request.Spec, request.Status
	facts := [][2]string{
		{"Request", fmt.Sprintf("%s, %s ago", request.Name, display.Age(&request.CreationTimestamp.Time, now))},
		{"Environment", fmt.Sprintf("%s (%s)", spec.EnvironmentID, spec.Trigger)},
	}
	add := func(name, value string) {
		if value != "" {
			facts = append(facts, [2]string{name, value})
		}
	}
	if spec.ProjectRef != nil {
		add("Project", spec.ProjectRef.Name)
	}
	add("Configuration", fmt.Sprintf("%s, %s", spec.ConfigurationType, spec.Platform))
	add("Service", spec.Service)
	add("Hash", display.Or(status.ConfigHash, spec.ConfigHash))
	answer := display.Or(string(status.CacheResult), "none yet")
	if status.Reason != "" {
		answer += " (" + status.Reason + ")"
	}
	add("Answer", answer)
	add("Why", status.Explanation)
	add("Role", string(status.Role))
	if builder := status.Builder; builder != nil && builder.Name != request.Name {
		add("Builder", fmt.Sprintf("%s (environment %s)", builder.Name, builder.EnvironmentID))
	}
	if image := status.Image; image != nil {
		add("Image", image.Reference)
		add("Built in", display.Seconds(image.BuildSeconds))
	}
	if build := spec.Build; build != nil {
		add(
			"Build",
			strings.TrimSpace(fmt.Sprintf("%s in %s %s", build.Outcome, display.Seconds(build.DurationSeconds), build.Message)),
		)
	}
	if pull := spec.Pull; pull != nil {
		add(
			"Pull",
			strings.TrimSpace(fmt.Sprintf("%s in %s %s", pull.Outcome, display.Seconds(pull.DurationSeconds), pull.Message)),
		)
	}
	if status.SavedSeconds != nil {
		add("Saved", display.Seconds(status.SavedSeconds))
	}
	return facts
}

func printConditions(streams cli.Streams, conditions []metav1.Condition, now time.Time) error {
	if len(conditions) == 0 {
		return nil
	}
	var rows [][]any
	for _, condition := range conditions {
		rows = append(
			rows,
			[]any{
				condition.Type, string(condition.Status), condition.Reason, display.Age(&condition.LastTransitionTime.Time, now),
				condition.Message,
			},
		)
	}
	_, _ = fmt.Fprintln(streams.Out)
	columns := []cli.Column{{Name: "Condition"}, {Name: "Status"}, {Name: "Reason"}, {Name: "For"}, {Name: "Message"}}
	return (&cli.Output{}).Table(streams.Out, columns, rows)
}

func printInputs(streams cli.Streams, inputs []v1alpha1.KeyInput) error {
	if len(inputs) == 0 {
		return nil
	}
	var rows [][]any
	for _, input := range inputs {
		rows = append(rows, []any{input.Name, input.Digest})
	}
	_, _ = fmt.Fprintln(streams.Out)
	return (&cli.Output{}).Table(streams.Out, []cli.Column{{Name: "Input"}, {Name: "Digest"}}, rows)
}
