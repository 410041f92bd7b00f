package localcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cfntypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"k8s.io/apimachinery/pkg/util/wait"
)

// The account's root keys. They open nothing but this emulator.
const (
	rootKeyID     = "AKIAIOSFODNN7EXAMPLE"
	rootSecretKey = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	accountID     = "123456789012"
)

// awsAccount is the emulated AWS account.
type awsAccount struct {
	endpoint   string
	region     string
	configFile string
}

// startAWS runs the emulator and makes in it what an organisation has before the cache comes: the controller's role.
func (c *Cluster) startAWS(ctx context.Context) error {
	var err error
	c.emulator, err = start(c.dir, "aws-emulator", nil, filepath.Join(c.options.Programs, "aws-emulator"),
		"--listen", "127.0.0.1:0", "--region", c.options.Region, "--account", accountID,
		"--access-key-id", rootKeyID, "--secret-access-key", rootSecretKey, "--root-may-assume-roles")
	if err != nil {
		return err
	}
	line, err := c.emulator.firstLine(ctx)
	if err != nil {
		return err
	}
	endpoint, found := strings.CutPrefix(line, "listening on ")
	if !found {
		return fmt.Errorf("the emulator printed %q instead of where it listens", line)
	}
	c.aws = awsAccount{endpoint: endpoint, region: c.options.Region, configFile: filepath.Join(c.dir, "aws-config")}
	template := filepath.Join(c.options.Config, "aws", "controller.yaml")
	outputs, err := c.CreateStack(ctx, "imagecache-controller", template, nil, map[string]string{"TrustedPrincipalArn": "arn:aws:iam::" + accountID + ":root"})
	if err != nil {
		return err
	}
	return c.aws.writeConfig(outputs["ControllerRoleArn"])
}

// CreateStack makes a CloudFormation stack from a template file, waits for it, and returns its outputs.
func (c *Cluster) CreateStack(ctx context.Context, name, templateFile string, tags, parameters map[string]string) (map[string]string, error) {
	template, err := os.ReadFile(templateFile)
	if err != nil {
		return nil, fmt.Errorf("read template: %w", err)
	}
	input := &cloudformation.CreateStackInput{
		StackName:    &name,
		TemplateBody: awssdk.String(string(template)),
		Capabilities: []cfntypes.Capability{cfntypes.CapabilityCapabilityNamedIam},
	}
	for key, value := range tags {
		input.Tags = append(input.Tags, cfntypes.Tag{Key: awssdk.String(key), Value: awssdk.String(value)})
	}
	for key, value := range parameters {
		input.Parameters = append(input.Parameters, cfntypes.Parameter{ParameterKey: awssdk.String(key), ParameterValue: awssdk.String(value)})
	}
	client := cloudformation.NewFromConfig(c.aws.rootConfig())
	if _, err := client.CreateStack(ctx, input); err != nil {
		return nil, fmt.Errorf("create stack %s: %w", name, err)
	}
	outputs := map[string]string{}
	err = wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		described, err := client.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &name})
		if err != nil || len(described.Stacks) == 0 {
			return false, errors.Join(errors.New("stack can't be described"), err)
		}
		stack := described.Stacks[0]
		for _, output := range stack.Outputs {
			outputs[awssdk.ToString(output.OutputKey)] = awssdk.ToString(output.OutputValue)
		}
		switch stack.StackStatus {
		case cfntypes.StackStatusCreateComplete:
			return true, nil
		case cfntypes.StackStatusCreateInProgress:
			return false, nil
		default:
			return false, fmt.Errorf("it is %s: %s", stack.StackStatus, awssdk.ToString(stack.StackStatusReason))
		}
	})
	if err != nil {
		return nil, fmt.Errorf("create stack %s: %w", name, err)
	}
	return outputs, nil
}

// writeConfig writes an AWS configuration file whose default profile is the controller's role. That is role chaining,
// as with IRSA: sessions last for an hour at most.
func (a awsAccount) writeConfig(roleARN string) error {
	if roleARN == "" {
		return errors.New("the controller's stack has no output ControllerRoleArn")
	}
	config := fmt.Sprintf(`[default]
region = %[1]s
role_arn = %[2]s
role_session_name = manager
source_profile = root

[profile root]
region = %[1]s
aws_access_key_id = %[3]s
aws_secret_access_key = %[4]s
`, a.region, roleARN, rootKeyID, rootSecretKey)
	if err := os.WriteFile(a.configFile, []byte(config), 0o600); err != nil {
		return fmt.Errorf("write AWS configuration: %w", err)
	}
	return nil
}

// environment are the variables under which the SDK is the controller's role. The endpoint of STS is named by itself
// too, because the SDK assumes a profile's role before it has read the one for all services.
func (a awsAccount) environment() []string {
	return []string{"AWS_ENDPOINT_URL=" + a.endpoint, "AWS_ENDPOINT_URL_STS=" + a.endpoint, "AWS_CONFIG_FILE=" + a.configFile, "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_EC2_METADATA_DISABLED=true"}
}

// rootEnvironment are the variables under which the SDK, or the aws command, is the account's root.
func (a awsAccount) rootEnvironment() []string {
	return []string{"AWS_ENDPOINT_URL=" + a.endpoint, "AWS_REGION=" + a.region, "AWS_ACCESS_KEY_ID=" + rootKeyID, "AWS_SECRET_ACCESS_KEY=" + rootSecretKey}
}

func (a awsAccount) rootConfig() awssdk.Config {
	return awssdk.Config{
		Region:       a.region,
		BaseEndpoint: awssdk.String(a.endpoint),
		Credentials:  credentials.NewStaticCredentialsProvider(rootKeyID, rootSecretKey, ""),
	}
}
