package main

import "path/filepath"

// deploy makes and changes stacks as "aws cloudformation deploy" does: with change sets and waiters.
func (s *session) deploy() error {
	controller, runner := filepath.Join(s.templates, "controller.yaml"), filepath.Join(s.templates, "runner-stack.yaml")
	d := func(stack, template string, more ...string) []string {
		return append([]string{"aws", "cloudformation", "deploy", "--no-fail-on-empty-changeset", "--stack-name", stack, "--template-file", template}, more...)
	}
	c := func(args ...string) []string { return append([]string{"aws", "cloudformation"}, args...) }
	return s.all(
		check{args: d("boundary", runner), fails: "InsufficientCapabilities"},
		check{args: d("boundary", runner, "--capabilities", "CAPABILITY_IAM", "--tags", "team=dev"), wants: []string{"Successfully created/updated stack"}},
		check{args: d("boundary", runner, "--capabilities", "CAPABILITY_IAM", "--tags", "team=dev"), wants: []string{"No changes to deploy"}},
		check{args: d("controller", controller, "--capabilities", "CAPABILITY_NAMED_IAM"), wants: []string{"Successfully created/updated stack"}},
		check{args: d("controller", controller, "--capabilities", "CAPABILITY_NAMED_IAM", "--parameter-overrides", "RoleName=another"), wants: []string{"Successfully created/updated stack"}},
		check{args: []string{"aws", "iam", "get-role", "--role-name", "another"}, wants: []string{"pods.eks.amazonaws.com"}},
		check{args: []string{"aws", "iam", "get-role", "--role-name", "imagecache-controller"}, fails: "NoSuchEntity"},
		check{args: c("describe-stack-events", "--stack-name", "controller"), wants: []string{"UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "REVIEW_IN_PROGRESS"}},
		check{args: c("list-stack-resources", "--stack-name", "controller"), wants: []string{"ControllerRole", "UPDATE_COMPLETE"}},
		check{args: c("describe-stack-resources", "--stack-name", "boundary"), wants: []string{"ImageCacheBoundary"}},
		check{args: c("describe-stack-resource", "--stack-name", "boundary", "--logical-resource-id", "ImageCacheBoundary"), wants: []string{"NOT_CHECKED"}},
		check{args: c("get-template-summary", "--stack-name", "controller"), wants: []string{"TrustedPrincipalArn", "CAPABILITY_NAMED_IAM"}},
		check{args: c("validate-template", "--template-body", "file://"+runner), wants: []string{"CAPABILITY_IAM"}},
		check{args: c("validate-template", "--template-body", "Resources: {R: {Type: 'AWS::ECR::Repository', DependsOn: X}}"), fails: "Unresolved resource dependencies [X]"},
		check{args: c("create-change-set", "--stack-name", "controller", "--change-set-name", "back", "--use-previous-template", "--capabilities", "CAPABILITY_NAMED_IAM",
			"--parameters", "ParameterKey=RoleName,ParameterValue=imagecache-controller"), wants: []string{"changeSet/back/"}},
		check{args: c("wait", "change-set-create-complete", "--stack-name", "controller", "--change-set-name", "back")},
		check{args: c("describe-change-set", "--stack-name", "controller", "--change-set-name", "back"), wants: []string{"ControllerRole", "ParameterReference"}},
		check{args: c("list-change-sets", "--stack-name", "controller"), wants: []string{"AVAILABLE"}},
		check{args: c("delete-change-set", "--stack-name", "controller", "--change-set-name", "back")},
		check{args: c("list-exports", "--query", "length(Exports)"), wants: []string{"0"}},
		check{args: c("list-imports", "--export-name", "none"), fails: "is not imported by any stack"},
		check{args: c("delete-stack", "--stack-name", "controller")},
		check{args: c("wait", "stack-delete-complete", "--stack-name", "controller")},
		check{args: []string{"aws", "iam", "get-role", "--role-name", "another"}, fails: "NoSuchEntity"},
		check{args: c("list-stacks", "--stack-status-filter", "DELETE_COMPLETE"), wants: []string{"controller"}},
	)
}
