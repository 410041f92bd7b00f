package main

import "strings"

// platform asks what a platform engineer asks of IAM, ECR and STS.
func (s *session) platform() error {
	a := func(line string, more ...string) []string { return append(strings.Fields("aws "+line), more...) }
	trust := `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "` + account + `"}, "Action": "sts:AssumeRole"}]}`
	managed := "arn:aws:iam::aws:policy/"
	preview := `{"rules":[{"rulePriority":1,"description":"one image","selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":1},"action":{"type":"expire"}}]}`
	registry := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::999999999999:root"},"Action":"ecr:ReplicateImage","Resource":"*"}]}`
	return s.all(
		check{args: a("iam create-role --role-name reader --assume-role-policy-document", trust)},
		// The documents are objects in the answers only if they are encoded as the client expects.
		check{args: a("iam get-role --role-name reader --query Role.AssumeRolePolicyDocument.Statement[0].Action --output text"), wants: []string{"sts:AssumeRole"}},
		check{args: a("iam get-role --role-name reader --query keys(Role)"), wants: []string{"RoleLastUsed"}},
		check{args: a("iam attach-role-policy --role-name reader --policy-arn", managed+"AmazonEC2ContainerRegistryReadOnly")},
		check{args: a("iam list-attached-role-policies --role-name reader"), wants: []string{"AmazonEC2ContainerRegistryReadOnly"}},
		check{args: a("iam get-policy-version --version-id v12 --query PolicyVersion.Document.Statement[0].NotAction --policy-arn", managed+"PowerUserAccess"), wants: []string{"iam:*"}},
		check{args: a("iam put-role-permissions-boundary --role-name reader --permissions-boundary", managed+"ReadOnlyAccess")},
		check{args: a("iam delete-role-permissions-boundary --role-name reader")},
		check{args: a("iam tag-role --role-name reader --tags Key=Team,Value=a Key=team,Value=b"), fails: "Duplicate tag keys found"},
		check{args: a("iam tag-role --role-name reader --tags Key=Team,Value=a")},
		check{args: a("iam list-role-tags --role-name reader"), wants: []string{"Team"}},
		check{args: a("iam untag-role --role-name reader --tag-keys TEAM")},
		check{args: a("iam create-policy --policy-name p --policy-document", `{"Statement":[]}`), fails: "MalformedPolicyDocument"},
		check{args: a("iam create-policy --policy-name p --policy-document", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:Get*","Resource":"*"}]}`), wants: []string{"policy/p"}},
		check{args: a("iam list-policies --scope Local"), wants: []string{"policy/p"}},
		check{args: a("iam delete-policy --policy-arn", "arn:aws:iam::"+account+":policy/p")},
		check{args: a("iam list-roles --query Roles[].RoleName"), wants: []string{"reader", "builder"}},
		check{args: a("iam detach-role-policy --role-name reader --policy-arn", managed+"AmazonEC2ContainerRegistryReadOnly")},
		check{args: a("iam delete-role --role-name reader")},
		check{args: a("iam list-users"), fails: "is not emulated"},

		check{args: a("ecr describe-registry"), wants: []string{account, "replicationConfiguration"}},
		check{args: a("ecr get-registry-policy"), fails: "RegistryPolicyNotFoundException"},
		check{args: a("ecr put-registry-policy --policy-text", registry), wants: []string{"ReplicateImage"}},
		check{args: a("ecr delete-registry-policy"), wants: []string{"ReplicateImage"}},
		check{args: a("ecr describe-images --repository-name " + repository + " --query length(imageDetails)"), wants: []string{"2"}},
		check{args: a("ecr describe-images --registry-id 999999999999 --repository-name " + repository), fails: "because no resource-based policy allows the ecr:DescribeImages action"},
		check{args: a("ecr batch-get-image --image-ids imageTag=v1 --repository-name " + repository), wants: []string{"imageManifest"}},
		check{args: a("ecr describe-image-scan-findings --image-id imageTag=v1 --repository-name " + repository), fails: "ScanNotFoundException"},
		check{args: a("ecr start-image-scan --image-id imageTag=v1 --repository-name " + repository), wants: []string{"IN_PROGRESS"}},
		check{args: a("ecr wait image-scan-complete --image-id imageTag=v1 --repository-name " + repository)},
		check{args: a("ecr describe-image-scan-findings --image-id imageTag=v1 --repository-name " + repository), wants: []string{"COMPLETE"}},
		check{args: a("ecr start-lifecycle-policy-preview --repository-name "+repository+" --lifecycle-policy-text", preview), wants: []string{"IN_PROGRESS"}},
		check{args: a("ecr wait lifecycle-policy-preview-complete --repository-name " + repository)},
		check{args: a("ecr get-lifecycle-policy-preview --repository-name " + repository), wants: []string{"EXPIRE", `"expiringImageTotalCount": 1`}},
		check{args: a("ecr put-image-tag-mutability --image-tag-mutability MUTABLE --repository-name other"), wants: []string{"MUTABLE"}},
		check{args: a("ecr tag-resource --tags Key=cost,Value=1 --resource-arn", "arn:aws:ecr:"+region+":"+account+":repository/other")},
		check{args: a("ecr list-tags-for-resource --resource-arn", "arn:aws:ecr:"+region+":"+account+":repository/other"), wants: []string{"cost"}},
		check{args: a("ecr put-replication-configuration --replication-configuration", `{"rules":[]}`), wants: []string{`"rules": []`}},
		check{args: a("ecr describe-pull-through-cache-rules"), fails: "is not emulated"},

		check{args: a("sts get-session-token --duration-seconds 900"), wants: []string{"SessionToken"}},
		check{args: a("sts get-federation-token --name bob"), wants: []string{"federated-user/bob"}},
	)
}

// oras pushes something that is not an image, and finds it by its subject.
func (s *session) oras() error {
	o := func(args ...string) []string { return append([]string{s.orasProgram}, args...) }
	image, other := s.emulator.host+"/"+repository+":v1", s.emulator.host+"/other:note"
	return s.all(
		// crane's login is in the folder of docker's configuration, which oras reads too.
		check{args: o("repo", "ls", "--plain-http", "--registry-config", "none.json", s.emulator.host), fails: "basic credential not found"},
		check{args: o("login", "--plain-http", "--username", "AWS", "--password-stdin", s.emulator.host), stdin: s.password},
		check{args: o("repo", "ls", "--plain-http", s.emulator.host), wants: []string{repository, "other"}},
		check{args: o("repo", "tags", "--plain-http", s.emulator.host+"/"+repository), wants: []string{"v1"}},
		check{args: o("push", "--plain-http", "--artifact-type", "text/note", other, "auth.json:text/plain"), wants: []string{"Digest: sha256:"}},
		check{args: o("pull", "--plain-http", "--output", "pulled", other), wants: []string{"auth.json"}},
		check{args: o("attach", "--plain-http", "--artifact-type", "text/note", image, "auth.json:text/plain"), wants: []string{"Digest: sha256:"}},
		check{args: o("discover", "--plain-http", image), wants: []string{"text/note"}},
		check{args: o("copy", "--from-plain-http", "--to-plain-http", image, s.emulator.host+"/other:by-oras"), wants: []string{"Copied"}},
	)
}
