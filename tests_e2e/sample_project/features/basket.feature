Feature: Basket
  What is put in stays in.

  Scenario: Two articles
    Given an empty basket
    When I put in 2 articles
    Then the basket holds 2 articles

  Scenario: A wrong count
    Given an empty basket
    When I put in 1 articles
    Then the basket holds 2 articles
