Feature: Basket

  Scenario: Nothing
    Given an empty basket
    Then it holds 0 articles

  Scenario: A table of articles
    Given these articles:
      | name  |
      | apple |
      | pear  |
    Then it holds 2 articles

  Scenario: A wrong count
    Given an empty basket
    Then it holds 1 articles
    Then it holds 0 articles
