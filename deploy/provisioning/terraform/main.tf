# A member of an etcd cluster for each machine. The host that runs OpenTofu or Terraform has `memberflow` on PATH and
# TEMPORAL_ADDRESS in its environment.
#
# Create: the learner is added → its machine starts → it is a voter. Destroy, in the other order: the member leaves
# while its machine still runs → the machine goes.
terraform {
  required_version = ">= 1.4"
}

variable "cluster" {
  description = "name of the cluster in the workers' clusters file"
  type        = string
}

variable "members" {
  description = "peer URL of each member, by its name"
  type        = map(string)
}

variable "handovers" {
  description = "folder for the ETCD_* values, a file NAME.env for each member"
  type        = string
}

variable "start" {
  description = "stands for your machines: the command that starts a member, with the path of its NAME.env as argument"
  type        = string
}

resource "terraform_data" "learner" {
  for_each = var.members
  input    = { cluster = var.cluster, name = each.key, peer_url = each.value }

  # Another peer URL is another member: the old one leaves first.
  triggers_replace = [var.cluster, each.value]

  provisioner "local-exec" {
    command = "memberflow join \"$CLUSTER\" \"$NAME\" --peer-url \"$PEER_URL\" --until added --env-file \"$ENV_FILE\""
    environment = {
      CLUSTER  = self.input.cluster
      NAME     = self.input.name
      PEER_URL = self.input.peer_url
      ENV_FILE = "${var.handovers}/${self.input.name}.env"
    }
  }
}

# In the place of this one: your instance, with file("${var.handovers}/${each.key}.env") in its user data.
resource "terraform_data" "machine" {
  for_each         = var.members
  triggers_replace = [terraform_data.learner[each.key].id]

  provisioner "local-exec" {
    command     = "\"$START\" \"$ENV_FILE\""
    environment = { START = var.start, ENV_FILE = "${var.handovers}/${each.key}.env" }
  }
}

resource "terraform_data" "voter" {
  for_each         = var.members
  input            = terraform_data.learner[each.key].output
  triggers_replace = [terraform_data.learner[each.key].id, terraform_data.machine[each.key].id]

  provisioner "local-exec" {
    command     = "memberflow watch \"$CLUSTER\" \"$NAME\" --verb join"
    environment = { CLUSTER = self.input.cluster, NAME = self.input.name }
  }

  provisioner "local-exec" {
    when        = destroy
    command     = "memberflow remove \"$CLUSTER\" \"$NAME\""
    environment = { CLUSTER = self.input.cluster, NAME = self.input.name }
  }
}
