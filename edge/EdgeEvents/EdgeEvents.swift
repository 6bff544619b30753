// Filled by this part of the plan.
